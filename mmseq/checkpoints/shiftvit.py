"""Key tables of ShiftViT: the authors' release files (weights under ``model``), and ours."""

from torch import Tensor

from mmseq.checkpoints.rules import NEXT_STAGE, Family, Layout, Rename, TensorMap, our_layout
from mmseq.checkpoints.sequencer2d import FINAL_NORM, HEAD


def linear_weight(weight: Tensor) -> Tensor:
    """The authors write the MLP's linear maps as 1x1 convolutions: (O, I, 1, 1) to (O, I)."""
    return weight.flatten(1) if weight.dim() == 4 and weight.shape[2:] == (1, 1) else weight


def as_convolution(weight: Tensor) -> Tensor:
    """The inverse of :func:`linear_weight`."""
    return weight[..., None, None]


LINEAR_WEIGHT = TensorMap(linear_weight, as_convolution)
THEIR_BLOCK, OUR_BLOCK = 'layers.{stage}.blocks.{block}', 'stages.{stage}.blocks.{block}'

SHIFTVIT = Family(
    'shiftvit',
    (
        Layout(
            'authors',
            'layers.0.blocks.0.mlp.fc1.weight',
            (
                Rename('patch_embed.{rest}', 'stem.{rest}'),
                Rename(f'{THEIR_BLOCK}.mlp.fc{{n}}.weight', f'{OUR_BLOCK}.mlp.fc{{n}}.weight', tensor=LINEAR_WEIGHT),
                Rename(f'{THEIR_BLOCK}.mlp.fc{{n}}.bias', f'{OUR_BLOCK}.mlp.fc{{n}}.bias'),
                # Their first norm went when the attention did; the name of the second stayed.
                Rename(f'{THEIR_BLOCK}.norm2.{{rest}}', f'{OUR_BLOCK}.norm.{{rest}}'),
                Rename('layers.{stage}.downsample.{rest}', 'stages.{stage}.downsample.{rest}', NEXT_STAGE),
                FINAL_NORM,
                HEAD,
            ),
            # Swin's names, but for what ShiftViT has no use for.
            without='layers.0.blocks.0.norm1.weight',
            wrapper='model',
        ),
        our_layout('stem.norm.weight'),
    ),
)
