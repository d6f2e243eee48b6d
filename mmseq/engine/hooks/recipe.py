"""What a run's recipe comes to, said once in the log."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn
from torch.optim import Optimizer

from mmseq.engine.bare_model import bare_model
from mmseq.engine.paramwise import NORMS, warnings
from mmseq.registry import HOOKS


@HOOKS.register_module()
class RecipeHook(Hook):
    """Log notes, and one table of learning rate and weight decay of every group of parameters.

    Args:
        notes: lines to log before the table.
    """

    def __init__(self, notes: Sequence[str] = ()) -> None:
        self.notes = list(notes)

    def before_run(self, runner: Runner) -> None:
        """Log the notes."""
        for note in self.notes:
            runner.logger.info(note)

    def before_train(self, runner: Runner) -> None:
        """Log the table, and warn of rules without effect and of checkpoints between two updates."""
        model = bare_model(runner.model)
        runner.logger.info(
            '\n'.join(['what is trained, before the schedule:', *group_table(model, runner.optim_wrapper.optimizer)])
        )
        for line in warnings(model, runner.cfg.optim_wrapper.get('paramwise_cfg') or {}):
            runner.logger.warning(line)
        count, length = runner.optim_wrapper._accumulative_counts, len(runner.train_dataloader)
        if not isinstance(runner.train_loop, IterBasedTrainLoop) and length % count:
            runner.logger.warning(
                f'an epoch of {length} iterations is no multiple of accumulative_counts={count}: a resume from the end '
                'of an epoch may lose the gradients of the last iterations'
            )


def group_table(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """One line per pair of learning rate and weight decay, the highest rate first, below a line of headings.

    Of the tensors of each pair, those of norms are counted: they have weight decay where a rule that spares them does
    not take hold.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    of_norms = {id(p) for module in model.modules() if isinstance(module, NORMS) for p in module.parameters()}
    alike: dict[tuple[float, float], list[Any]] = {}
    for group in optimizer.param_groups:
        key = (group.get('initial_lr', group['lr']), group.get('weight_decay', 0.0))
        alike.setdefault(key, []).extend(group['params'])
    lines = [f'{"rate":>10}  {"weight decay":>12}  {"tensors":>7}  {"norms":>5}  {"parameters":>10}  of']
    for (rate, decay), parameters in sorted(alike.items(), reverse=True):
        total = sum(parameter.numel() for parameter in parameters)
        parts = describe_parts(model, [names[id(parameter)] for parameter in parameters])
        norms = sum(id(parameter) in of_norms for parameter in parameters)
        lines.append(f'{rate:10.4g}  {decay:12.4g}  {len(parameters):7}  {norms:5}  {total:10}  {parts}')
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    if frozen:
        total = sum(parameter.numel() for parameter in frozen)
        lines.append(f'{"frozen":>10}  {"":12}  {len(frozen):7}  {"":5}  {total:10}')
    return lines


def describe_parts(model: nn.Module, names: Sequence[str]) -> str:
    """The parts of the model that hold these parameters; of the backbone its layers."""
    parts = dict.fromkeys(name.split('.')[0] for name in names)
    count_layers = getattr(getattr(model, 'backbone', None), 'get_layer_depth', None)
    if count_layers and 'backbone' in parts:
        depths = [count_layers(name, 'backbone.') for name in names if name.startswith('backbone.')]
        low, high, last = min(depths)[0], max(depths)[0], depths[0][1] - 1
        if low == high:
            label = {0: 'stem', last: 'output norms'}.get(low, f'layer {low} of {last - 1}')
            parts = dict.fromkeys(f'backbone ({label})' if part == 'backbone' else part for part in parts)
    return ', '.join(parts)
