"""Key tables of Sequencer2D: the authors' release files, timm's and ours."""

from mmseq.checkpoints.rules import Drop, Family, Layout, Rename, next_stage

HEAD = Drop('head.{rest}', 'classifier')
FINAL_NORM = Rename('norm.{rest}', 'norms.3.{rest}')

SEQUENCER2D = Family(
    'sequencer2d',
    (
        Layout(
            'authors',
            'blocks.0.0.norm1.weight',
            (
                Rename('stem.proj.{rest}', 'stem.{rest}'),
                Rename('blocks.{stage}.{block}.down.{rest}', 'stages.{stage}.downsample.{rest}', next_stage),
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
                HEAD,
            ),
        ),
        Layout(
            'mmseq',
            'stem.weight',
            tuple(Rename(f'{part}.{{rest}}', f'{part}.{{rest}}') for part in ('stem', 'stages', 'norms')),
        ),
    ),
)
