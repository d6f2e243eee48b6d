"""Key tables of Sequencer2D: the authors' release files, timm's and ours."""

from mmseq.checkpoints.rules import Drop, Family, Fields, Layout, Rename

HEAD = Drop('head.{rest}', 'classifier')
FINAL_NORM = Rename('norm.{rest}', 'norms.3.{rest}')


def next_stage(fields: Fields) -> Fields:
    """The authors keep the convolution between two stages as the last item of the earlier one, we with the later."""
    return {**fields, 'stage': str(int(fields['stage']) + 1)}


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
        ),
        Layout(
            'timm',
            'stem.proj.weight',
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
