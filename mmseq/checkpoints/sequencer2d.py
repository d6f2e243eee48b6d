"""Key tables of Sequencer2D: the authors' release files, timm's and ours."""

from mmseq.checkpoints.rules import NEXT_STAGE, Drop, Family, Layout, Rename, our_layout

HEAD = Drop('head.{rest}', 'classifier', 'head.{rest}')
TIMM_HEAD = Drop('head.fc.{rest}', 'classifier', 'head.{rest}')
FINAL_NORM = Rename('norm.{rest}', 'norms.3.{rest}')

SEQUENCER2D = Family(
    'sequencer2d',
    (
        Layout(
            'authors',
            'blocks.0.0.norm1.weight',
            (
                Rename('stem.proj.{rest}', 'stem.{rest}'),
                Rename('blocks.{stage}.{block}.down.{rest}', 'stages.{stage}.downsample.{rest}', NEXT_STAGE),
                Rename('blocks.{stage}.{block}.{rest}', 'stages.{stage}.blocks.{block}.{rest}'),
                FINAL_NORM,
                HEAD,
            ),
            without='blocks.0.0.rnn_tokens.rnn.weight_ih_l0',
        ),
        Layout(
            'timm',
            'stages.1.downsample.down.weight',
            (
                Rename('stem.proj.{rest}', 'stem.{rest}'),
                Rename('stages.{stage}.downsample.down.{rest}', 'stages.{stage}.downsample.{rest}'),
                Rename('stages.{stage}.blocks.{block}.{rest}', 'stages.{stage}.blocks.{block}.{rest}'),
                FINAL_NORM,
                TIMM_HEAD,
            ),
        ),
        our_layout('stem.weight'),
    ),
)
