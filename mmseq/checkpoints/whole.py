"""A state dict into a whole model, or into a part of upstream's, with an account of every tensor."""

from typing import Any

from torch import nn

from mmseq.checkpoints.compare import Differences, casts, compare, shorten
from mmseq.checkpoints.wrappers import state_dict
from mmseq.errors import InputError

# Share of a part's tensors, or of the file's, that may have no counterpart. Deformable convolutions have 8 % more than
# the ResNet-50 they begin with, and the classifier is 19 % of a VGG-16's tensors; ResNet-50 is 51 % of ResNet-101.
LARGEST_REST = 0.25


def load_whole(model: nn.Module, payload: Any, name: str, prefix: str | None = None) -> str:
    """Load what a checkpoint file holds into a whole model; every tensor of both must fit.

    Args:
        model: of any kind.
        payload: what the file holds.
        name: of the file, for messages.
        prefix: as in :func:`~mmseq.checkpoints.wrappers.state_dict`.

    Returns:
        The account.

    Raises:
        InputError: there are no weights in it, or they are another model's. The model is left unchanged.
    """
    tensors, _ = state_dict(payload, name, prefix=prefix)
    own = model.state_dict()
    if differences := compare(tensors, own):
        raise InputError(
            f'checkpoint {name} is of another model ({differences}); use the config it was trained with. Weights for '
            'the backbone alone go to model.backbone.init_cfg.checkpoint'
        )
    text = '; '.join(filter(None, (f'{len(own)}/{len(own)} tensors from {name}', casts(tensors, own))))
    model.load_state_dict(tensors)
    return text


def load_part(module: nn.Module, payload: Any, name: str, prefix: str | None = None) -> str:
    """Load what a checkpoint file holds into a module that need not have all of it, such as a backbone of upstream's.

    Arguments and result are those of :func:`load_whole`.

    Raises:
        InputError: there are no weights in it, a tensor has another shape or bad numbers, or more than a quarter of
            the module's tensors or of the file's have no counterpart. The module is left unchanged.
    """
    tensors, _ = state_dict(payload, name, prefix=prefix)
    own = module.state_dict()
    differences = compare(tensors, own)
    # Files older than torch 0.4.1 have no counts of batches.
    missing = [key for key in differences.missing if not key.endswith('num_batches_tracked')]
    hard = Differences([], [], *list(vars(differences).values())[2:])
    too_many = len(missing) > LARGEST_REST * len(own) or len(differences.foreign) > LARGEST_REST * len(tensors)
    if hard or too_many:
        raise InputError(
            f'checkpoint {name} does not fit this {type(module).__name__} of {len(own)} tensors ({differences}); '
            'nothing was loaded. Give its own weights, or init_cfg prefix=NAME for one of several networks in the file'
        )
    module.load_state_dict({key: tensors.get(key, value) for key, value in own.items()})
    notes = [f'{len(own) - len(differences.missing)}/{len(own)} tensors from {name}', casts(tensors, own)]
    notes += [f'{len(missing)} new and left at their initial value ({shorten(missing)})'] if missing else []
    foreign = differences.foreign
    notes += [f'{len(foreign)} of the file not taken ({shorten(foreign)})'] if foreign else []
    return '; '.join(filter(None, notes))
