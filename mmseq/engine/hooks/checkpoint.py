"""Checkpoints of which the last good one stays until the next is whole, and validations that a kill cannot skip."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import EpochBasedTrainLoop, Runner

from mmseq.files import write_text
from mmseq.registry import HOOKS

# Name in the message hub of a checkpoint that was written out of turn.
_INTERIM = 'interim_ckpt'
# Name there of the files that the checkpoint holding this name replaces.
_SUPERSEDED = 'superseded'


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, which by itself removes the old checkpoint, and the old best, before it saves.

    - Files are removed after the new one is whole; if the run was killed in between, when it resumes.
    - A run that was killed between a checkpoint and the end of the validation that belongs to it makes up for that
      validation when it resumes: the file ``last_validation`` says which was the last to be finished.
    - `save_now` saves in the middle of an epoch; the next regular checkpoint replaces that file.

    Arguments are those of `mmengine.hooks.CheckpointHook`.
    """

    def before_train(self, runner: Runner) -> None:
        """Prepare, and validate what a killed run had saved but not validated."""
        self._take_over_paths(runner)
        super().before_train(runner)
        note = Path(runner.work_dir) / 'last_validation'
        if runner.iter == 0:
            if is_main_process():
                note.unlink(missing_ok=True)
            return
        # mmengine saves the new best score into the last checkpoint only if it knows that there is one.
        self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt')
        if is_main_process():
            self._remove(runner.message_hub.runtime_info.get(_SUPERSEDED) or [])
        finished = [note.is_file() and note.read_text().strip() == str(runner.iter)]
        # All processes have to validate or none, also where they do not see the same files.
        broadcast_object_list(finished)
        if validation_is_due(runner) and not finished[0]:
            runner.logger.info('the validation of this checkpoint was not finished; it is repeated')
            runner.val_loop.run()

    def _take_over_paths(self, runner: Runner) -> None:
        """Files that a restored run names are those of their names in the present folder.

        The work dir may be a copy, or the checkpoint another run's: what is replaced there is not ours to remove.
        """
        folder = Path(runner.work_dir)
        if self.out_dir is not None and self.out_dir != runner.work_dir:
            folder = Path(self.out_dir) / folder.name
        info = runner.message_hub.runtime_info
        for key in [key for key in info if key == 'last_ckpt' or key.startswith('best_ckpt') or key == _INTERIM]:
            if info[key]:
                runner.message_hub.update_info(key, str(folder / Path(info[key]).name))
        if info.get(_SUPERSEDED):
            runner.message_hub.update_info(_SUPERSEDED, [str(folder / Path(path).name) for path in info[_SUPERSEDED]])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best checkpoint and note that this validation is finished."""
        super().after_val_epoch(runner, metrics)
        if is_main_process():
            write_text(Path(runner.work_dir) / 'last_validation', f'{runner.iter}\n')

    def save_now(self, runner: Runner) -> Path:
        """Save after the current iteration, independent of the interval; call it in ``after_train_iter``."""
        if not self.by_epoch:
            self._save_checkpoint(runner)
            return Path(self.last_ckpt)
        step = runner.iter + 1
        path = Path(self.out_dir) / f'iter_{step}.pth'
        runner.message_hub.update_info(_INTERIM, str(path))
        runner.save_checkpoint(
            self.out_dir,
            path.name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=dict(epoch=runner.epoch, iter=step),
            by_epoch=False,
            backend_args=self.backend_args,
        )
        return path

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        interim = runner.message_hub.runtime_info.get(_INTERIM)
        runner.message_hub.update_info(_INTERIM, '')
        with self._removing_last(runner):
            if interim and is_main_process():
                self.file_backend.remove(interim)
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        with self._removing_last(runner):
            super()._save_best_checkpoint(runner, metrics)

    # mmengine's, which has no types.
    file_backend: Any

    @contextmanager
    def _removing_last(self, runner: Runner) -> Iterator[None]:
        """Remove old files only after everything is saved; after a failure nothing is removed."""
        if isinstance(self.file_backend, _Deferring):
            yield
            return
        backend = self.file_backend
        self.file_backend = deferring = _Deferring(backend, runner)
        try:
            yield
        finally:
            self.file_backend = backend
        runner.message_hub.update_info(_SUPERSEDED, [])
        self._remove(deferring.removals)

    def _remove(self, paths: list[str]) -> None:
        # A validation that is repeated writes the best checkpoint under the name it had.
        kept = {self.last_ckpt, getattr(self, 'best_ckpt_path', None)}
        kept |= set(getattr(self, 'best_ckpt_path_dict', {}).values())
        for path in paths:
            if path not in kept and self.file_backend.exists(path):
                (self.file_backend.rmtree if self.file_backend.isdir(path) else self.file_backend.remove)(path)


class _Deferring:
    """A file backend that notes the files to remove, also in the checkpoint that is about to be saved."""

    def __init__(self, backend: Any, runner: Runner) -> None:
        self._backend = backend
        self._runner = runner
        self.removals: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removals.append(str(path))
        self._runner.message_hub.update_info(_SUPERSEDED, list(self.removals))

    def rmtree(self, path: str) -> None:
        self.remove(path)


def validation_is_due(runner: Runner) -> bool:
    """Whether the loop validates at the current iteration or end of an epoch."""
    loop = runner.train_loop
    if runner.val_loop is None:
        return False
    if isinstance(loop, EpochBasedTrainLoop):
        at, end = runner.epoch, runner.max_epochs
        if runner.iter != at * len(loop.dataloader):
            return False
    else:
        at, end = runner.iter, runner.max_iters
    return at >= loop.val_begin and (at % loop.val_interval == 0 or at == end)
