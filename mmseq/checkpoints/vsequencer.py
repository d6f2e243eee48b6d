"""Key tables of VSequencer: what the authors' code saves, and ours."""

from mmseq.checkpoints.rules import NEXT_STAGE, Family, Layout, Rename, our_layout
from mmseq.checkpoints.sequencer2d import FINAL_NORM, HEAD

VSEQUENCER = Family(
    'vsequencer',
    (
        Layout(
            'authors',
            'blocks.0.0.rnn_tokens.rnn.weight_ih_l0',
            (
                Rename('stem.proj.{rest}', 'stem.proj.{rest}'),
                Rename('absolute_pos_embed', 'stem.pos_embed.weight'),
                Rename('blocks.{stage}.{block}.down.{rest}', 'stages.{stage}.downsample.{rest}', NEXT_STAGE),
                Rename('blocks.{stage}.{block}.{rest}', 'stages.{stage}.blocks.{block}.{rest}'),
                FINAL_NORM,
                HEAD,
            ),
        ),
        our_layout('stages.0.blocks.0.rnn_tokens.rnn.weight_ih_l0'),
    ),
)
