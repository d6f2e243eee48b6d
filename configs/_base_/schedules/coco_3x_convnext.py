"""COCO, 36 epochs of 8 x 2 images, rates falling by layer: ConvNeXt's for Mask R-CNN (mmdetection)."""

_base_ = 'coco_3x.py'
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='mmseq.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # The stem's rate is upstream's; no weight decay on biases, norms and other vectors.
    paramwise_cfg=dict(decay_rate=0.981, flat_decay_mult=0.0),
)
