"""Sequencer2D-S from the authors' ImageNet weights, drop path as in their training (arXiv 2205.01972)."""

backbone = dict(
    type='mmseq.Sequencer2D',
    arch='s',
    drop_path_rate=0.1,
    init_cfg=dict(
        type='Pretrained',
        checkpoint='https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_s.pth',
    ),
)
channels = [192, 384, 384, 384]
