"""Key tables of Vision-LSTM: the files of the authors' hub as they are, as their models save them, and ours.

The authors count sub-blocks (hub files, version 1) or pairs of them (models of version 2); we count pairs. Their
norms keep the weight's distance from 1, ours are torch's own. Version 1 has two norms behind the blocks: that of the
block stack, called ``post_blocks_norm`` or ``legacy_norm``, and the classifier's. Their feature extractor applies both,
and so does our last level. In version 2 the names change places: ``norm`` is that of the block stack, ``legacy_norm``
belongs to the classifier and is as wide as two tokens.
"""

import torch
from torch import Tensor

from mmseq.checkpoints.rules import Depths, Drop, Family, FieldMap, Fields, Layout, Rename, TensorMap, our_layout

HUB_HEAD = Drop('head.1.{rest}', 'classifier', 'head.{rest}')
HEAD = Drop('head.{rest}', 'classifier', 'head.{rest}')


def from_offset(weight: Tensor) -> Tensor:
    """A norm's weight from its distance from 1, in float32 at least."""
    return 1 + weight.to(torch.promote_types(weight.dtype, torch.float32))


def to_offset(weight: Tensor) -> Tensor:
    """A norm's distance from 1: exact for weights of 0.5 to 2, as every difference of such near numbers."""
    return weight - 1


OFFSET = TensorMap(from_offset, to_offset, rounds=True)


def to_pair(fields: Fields) -> Fields:
    """Sub-block 2 n is the first of pair n, sub-block 2 n + 1 the second."""
    block = int(fields['block'])
    return {**fields, 'block': str(block // 2), 'half': str(block % 2)}


def to_sub_block(fields: Fields, depths: Depths) -> Fields:
    """The inverse of :func:`to_pair`."""
    return {**fields, 'block': str(2 * int(fields['block']) + int(fields['half']))}


PAIRS = FieldMap(to_pair, to_sub_block)


STEM = (
    Rename('patch_embed.proj.{rest}', 'stem.proj.{rest}'),
    Rename('pos_embed.embed', 'stem.pos_embed.weight'),
)


def block_rules(source: str, norm: str, layer: str, conv: str, half: str | None = None) -> tuple[Rename, ...]:
    """The rules of a sub-block.

    Args:
        source: the sub-block's name, with a field ``block``.
        norm: its norm's name.
        layer: its layer's name.
        conv: its convolution's name within the layer.
        half: which of a pair it is, where the source tells by name; without, ``block`` counts sub-blocks.
    """
    target = f'blocks.{{block}}.{half or "{half}"}'
    fields = FieldMap() if half else PAIRS
    scan = f'{target}.layer.scans.0'
    return (
        Rename(f'{source}.{norm}.weight', f'{target}.norm.weight', fields, OFFSET),
        Rename(f'{source}.{norm}.bias', f'{target}.norm.bias', fields),
        Rename(f'{source}.{layer}.proj_up.{{rest}}', f'{target}.layer.up.{{rest}}', fields),
        Rename(f'{source}.{layer}.proj_down.{{rest}}', f'{target}.layer.down.{{rest}}', fields),
        Rename(f'{source}.{layer}.{conv}.{{rest}}', f'{scan}.conv.{{rest}}', fields),
        Rename(f'{source}.{layer}.mlstm_cell.outnorm.weight', f'{scan}.cell.norm.weight', fields, OFFSET),
        Rename(f'{source}.{layer}.mlstm_cell.outnorm.bias', f'{scan}.cell.norm.bias', fields),
        Rename(f'{source}.{layer}.mlstm_cell.{{rest}}', f'{scan}.cell.{{rest}}', fields),
        Rename(f'{source}.{layer}.learnable_skip', f'{scan}.skip', fields),
        Rename(f'{source}.{layer}.{{rest}}', f'{scan}.{{rest}}', fields),
    )


def final_norms(version: int, stack: str, classifier: str) -> tuple[Rename | Drop, ...]:
    """The rules of the norms behind the blocks, by their names in the source."""
    if version == 2:
        return (
            Rename(f'{stack}.weight', 'norms.last.weight', tensor=OFFSET),
            Rename(f'{stack}.bias', 'norms.last.bias'),
            Drop(f'{classifier}.{{rest}}', 'classifier', 'head.norm.{rest}'),
        )
    return (
        Rename(f'{stack}.weight', 'norms.last.0.weight', tensor=OFFSET),
        Rename(f'{classifier}.{{rest}}', 'norms.last.1.{rest}'),
    )


HUB_BLOCK = 'xlstm.blocks.{block}'
VISION_LSTM = Family(
    'vision_lstm',
    (
        Layout(
            'hub version 2',
            'xlstm.blocks.0.xlstm.conv1d.weight',
            (
                *STEM,
                *block_rules(HUB_BLOCK, 'xlstm_norm', 'xlstm', 'conv1d'),
                *final_norms(2, 'xlstm.post_blocks_norm', 'head.0'),
                HUB_HEAD,
            ),
        ),
        Layout(
            'hub version 1',
            'xlstm.blocks.0.xlstm.conv1d.conv.weight',
            (
                *STEM,
                *block_rules(HUB_BLOCK, 'xlstm_norm', 'xlstm', 'conv1d.conv'),
                *final_norms(1, 'xlstm.post_blocks_norm', 'head.0'),
                HUB_HEAD,
            ),
        ),
        Layout(
            'authors version 2',
            'blocks.0.rowwise_from_top_left.layer.proj_up.weight',
            (
                *STEM,
                *block_rules('blocks.{block}.rowwise_from_top_left', 'norm', 'layer', 'conv', half='0'),
                *block_rules('blocks.{block}.rowwise_from_bot_right', 'norm', 'layer', 'conv', half='1'),
                *final_norms(2, 'norm', 'legacy_norm'),
                HEAD,
            ),
        ),
        Layout(
            'authors version 1',
            'blocks.0.layer.proj_up.weight',
            (
                *STEM,
                *block_rules('blocks.{block}', 'norm', 'layer', 'conv1d.conv'),
                *final_norms(1, 'legacy_norm', 'norm'),
                HEAD,
            ),
        ),
        our_layout('stages.0.blocks.0.0.layer.up.weight'),
    ),
)
