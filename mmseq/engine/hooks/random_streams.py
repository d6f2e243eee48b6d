"""Randomness as a function of the position in training, so that a resumed run continues bit by bit."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseq.engine.loader import NumberedLoader, derive_seed, seed_all
from mmseq.registry import HOOKS


@HOOKS.register_module()
class RandomStreamsHook(Hook):
    """Make the losses after a resume those of the uninterrupted run, without storing any generator's state.

    - The *model stream* (drop path, dropout, sampling of proposals) of iteration i is torch, numpy and python seeded
      from (seed, rank, i).
    - A validation starts from (seed, rank, iterations so far), also one that is repeated after a kill.

    The *data stream* (augmentation) comes from the loader of `mmseq.engine.loops`, whose batches know their
    iteration (`mmseq.engine.loader.SeededDataset`). With another loop, or with data that has no indices, only the model
    stream is repeated, with a warning.

    The seed must be given (``randomness=dict(seed=...)``): mmengine takes the one of the checkpoint only after
    the samplers were built, and the hook warns if they disagree. Not exact: another number of ranks, operators that
    are not deterministic, and a data set that keeps random state of its own.
    """

    # before other hooks, so that their random calls before an iteration are repeatable as well
    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Compare the seeds, and warn of batches without numbers."""
        loader = runner.train_dataloader
        # with a batch sampler, mmdet's for one, loader.sampler is only torch's placeholder
        sampler_seed = getattr(getattr(loader.batch_sampler, 'sampler', loader.sampler), 'seed', None)
        if runner.iter > 0 and sampler_seed not in (None, runner.seed):
            runner.logger.warning(
                f'The order of the samples was drawn from seed {sampler_seed}, but the resumed run had seed '
                f'{runner.seed}: the run continues on other batches than it would have. Set '
                f'randomness=dict(seed={runner.seed}) in the config.'
            )
        if not isinstance(loader, NumberedLoader):
            runner.logger.warning(
                'The batches of this train_cfg or train_dataloader have no numbers: a resumed run will see other data '
                'than the uninterrupted one. Use train_cfg.type=mmseq.IterLoop or mmseq.EpochLoop and data with indices'
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Start the model stream of this iteration."""
        _start_stream('iteration', runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Start the stream of this validation: of random metrics, and of random data without workers."""
        _start_stream('validation', runner)


def _start_stream(purpose: str, runner: Runner) -> None:
    seed = derive_seed(purpose, runner.seed, get_rank(), runner.iter)
    seed_all(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed(seed)
