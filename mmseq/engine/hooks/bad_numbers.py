"""Losses and gradients that are not finite: no step is made, the first module is named, some in a row end the run."""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseq.engine.bare_model import bare_model
from mmseq.engine.diagnosis import Call, find_cause, tensors
from mmseq.engine.snapshots import save_snapshot
from mmseq.errors import InputError
from mmseq.registry import HOOKS

UNSEEN = "the model's train_step does not call forward(mode='loss'), so that its batch is not known"
BATCH_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')
# Below this many losses the usual spread is not known.
FEW_LOSSES = 20
# Of a normal distribution, the standard deviation in median absolute deviations.
DEVIATIONS = 1.4826


@HOOKS.register_module()
class BadNumbersHook(Hook):
    """Leaves out steps with a non-finite loss or gradient, says where it comes from, and stops after some in a row.

    Before each optimiser step it looks at the losses and at the norm of all gradients: the one that clipping has
    computed if there is clipping, else one pass over the gradients. If either is not finite in any process, all
    processes leave the step out: weights, optimiser state and batch statistics stay as they were. Then the forward
    pass runs once more on the same batch, weights and random state with a hook on every module, and if all outputs
    are finite, the backward pass too. Normal iterations run without any hook in the model.

    Under float16 an overflow is the loss scaler's business: it leaves the step out and lowers the scale, which is
    counted (`overflows` in the scalars) and is no failure as long as the losses are finite and the scale falls and
    stays above 1.

    The snapshot of the first bad iteration in a row lies in ``bad_numbers`` in the work dir; see
    `mmseq.engine.snapshots`.

    Args:
        stop_after: bad iterations in a row that end the run.
        max_snapshots: snapshots in one run; each is as large as the weights.
        spike: a loss this many robust standard deviations above the median of the last `window`, and more than twice
            that median, is logged; None: none is.
        window: losses that are looked back on.
    """

    # before hooks that average weights or report
    priority = 'VERY_HIGH'

    def __init__(
        self, stop_after: int = 3, max_snapshots: int = 3, spike: float | None = 10.0, window: int = 100
    ) -> None:
        if stop_after < 1 or window < FEW_LOSSES:
            raise InputError(f'BadNumbersHook: stop_after must be at least 1, and window at least {FEW_LOSSES}')
        self.stop_after = stop_after
        self.max_snapshots = max_snapshots
        self.spike = spike
        self.losses: deque[float] = deque(maxlen=window)
        self.in_a_row = self.snapshots = self.overflows = 0
        self._call: Call | None = None
        self._bad_loss: Tensor | None = None
        self._bad = self._stepped = False
        self._quiet_until = 0
        self._scale: float | None = None

    def before_train(self, runner: Runner) -> None:
        """Listen to the model's losses and to the optimiser's steps."""
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise InputError('optim_wrapper: several optimisers are not supported; give one')
        self._runner = runner
        self._model = bare_model(runner.model)
        self._handles = [
            runner.model.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            runner.model.register_forward_hook(self._after_forward),
            runner.optim_wrapper.optimizer.register_step_pre_hook(self._before_step),
        ]
        norms = [module for module in self._model.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
        self._statistics = [
            getattr(norm, name) for norm in norms for name in BATCH_STATISTICS if getattr(norm, name, None) is not None
        ]
        self._kept = [buffer.clone() for buffer in self._statistics]

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Forget the iteration before."""
        self._bad = self._stepped = False
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        self._scale = scaler.get_scale() if scaler is not None else None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """Judge the iteration; raises InputError after too many bad ones in a row."""
        call, self._call = self._call, None
        if not runner.optim_wrapper.should_update():
            # The gradients gather on, and a bad loss among them is remembered.
            return
        if not self._stepped and self._scale is not None:
            self._judge_overflow(runner, self._scale)
        self._bad_loss = None
        if self._bad:
            self._restore()
            self._report(runner, call, outputs or {})
            return
        self.in_a_row = 0
        if self._statistics:
            torch._foreach_copy_(self._kept, self._statistics)
        self._watch_spikes(runner)

    def _before_forward(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get('mode') == 'loss':
            self._call = Call.now(args, kwargs)

    def _after_forward(self, model: nn.Module, args: tuple[Any, ...], losses: Any) -> None:
        if not (self._call and isinstance(losses, Mapping)):
            return
        # Names with loss in them are what upstream adds up; others, as accuracies, may be what they like.
        values = list(tensors([value for key, value in losses.items() if 'loss' in key]))
        # On the device: asking for the answer here would stop the queue of the GPU.
        bad = torch.stack([~torch.isfinite(value.detach()).all() for value in values]).any()
        self._bad_loss = bad if self._bad_loss is None else self._bad_loss | bad

    def _before_step(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._stepped = True
        wrapper = self._runner.optim_wrapper
        parameters = [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
        if wrapper.clip_grad_kwargs and wrapper.grad_name == 'grad_norm' and parameters:
            finite = math.isfinite(wrapper.message_hub.get_scalar('train/grad_norm').current())
            bad = torch.tensor(not finite, device=parameters[0].device)
        else:
            norm = torch.nn.utils.get_total_norm([p.grad for p in parameters], foreach=None)
            bad = ~torch.isfinite(norm)
        self._bad = self._agree(bad if self._bad_loss is None else bad | self._bad_loss.to(bad.device))
        if self._bad:
            for parameter in parameters:
                # An optimiser passes over parameters without a gradient.
                parameter.grad = None

    def _agree(self, bad: Tensor | None) -> bool:
        """Whether it is bad in any process; None is not."""
        found = torch.tensor(0) if bad is None else bad.to(torch.int32)
        if get_world_size() > 1:
            all_reduce(found, op='max')
        return bool(found)

    def _judge_overflow(self, runner: Runner, before: float) -> None:
        """The loss scaler left the step out: all gradients were infinite in it, in all processes alike."""
        scale = runner.optim_wrapper.loss_scaler.get_scale()
        self._bad = self._agree(self._bad_loss) or not before > scale >= 1
        if not self._bad:
            self.overflows += 1
            runner.message_hub.update_scalar('train/overflows', self.overflows)
            runner.logger.info(
                f'iteration {runner.iter + 1}: float16 overflow, the loss scale falls from {before:g} to '
                f'{scale:g}: usual now and then, the step is left out'
            )

    def _restore(self) -> None:
        if self._statistics:
            torch._foreach_copy_(self._statistics, self._kept)

    def _report(self, runner: Runner, call: Call | None, outputs: dict[str, Any]) -> None:
        self.in_a_row += 1
        cause = find_cause(self._model, call, runner.optim_wrapper) if call else UNSEEN
        # Repeating the iteration has left its marks.
        self._call = self._bad_loss = None
        self._restore()
        path = None
        if call and self.in_a_row == 1 and self.snapshots < self.max_snapshots:
            self.snapshots += 1
            path = save_snapshot(runner, self._model, call, cause or 'this process has finite numbers', outputs)
        causes = [found for found in all_gather_object((get_rank(), cause)) if found[1]]
        text = ' | '.join(f'rank {rank}: {found}' if get_world_size() > 1 else found for rank, found in causes)
        text = text or 'it did not happen again on the last batch'
        text = f'iteration {runner.iter + 1}: not finite, the step is left out: {text}'
        runner.logger.warning(text + (f'; snapshot {path}' if path else ''))
        runner.message_hub.update_scalar('train/bad_steps', self.in_a_row)
        if self.in_a_row >= self.stop_after:
            raise InputError(
                f'{text}; that is {self.in_a_row} in a row, so the run ends: look at the snapshot in '
                f'{runner.work_dir}/bad_numbers, lower the learning rate, clip gradients, or train in bfloat16 or '
                'float32; --resume goes on from the last checkpoint'
            )

    def _watch_spikes(self, runner: Runner) -> None:
        """Log a loss far above the usual, once in a window."""
        loss = runner.message_hub.get_scalar('train/loss').current()
        if self.spike is not None and len(self.losses) >= FEW_LOSSES and runner.iter >= self._quiet_until:
            median = statistics.median(self.losses)
            spread = DEVIATIONS * statistics.median(abs(value - median) for value in self.losses)
            if loss > median + self.spike * spread and loss > 2 * median:
                self._quiet_until = runner.iter + self.losses.maxlen
                runner.logger.warning(
                    f'iteration {runner.iter + 1}: loss spike: {loss:.4g}, the median of the last {len(self.losses)} '
                    f'is {median:.4g}; the learning rate may be too high or a label wrong'
                )
        self.losses.append(loss)
