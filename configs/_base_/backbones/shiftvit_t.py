"""Shift-T from the authors' ImageNet weights, drop path as in their training (arXiv 2201.10801)."""

backbone = dict(
    type='mmseq.ShiftViT',
    arch='t',
    drop_path_rate=0.2,
    init_cfg=dict(
        type='Pretrained', checkpoint='https://github.com/microsoft/SPACH/releases/download/v1.0/shiftvit_tiny_r2.pth'
    ),
)
channels = [96, 192, 384, 768]
