"""ADE20K, 160k iterations of 16 images, cosine, rates falling by 0.65 a layer: Vision-LSTM's recipe for UperNet."""

_base_ = 'mmseg::_base_/schedules/schedule_160k.py'
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='mmseq.LayerDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay on biases, norms, learnable skips and other vectors, nor on position embeddings.
    paramwise_cfg=dict(decay_rate=0.65, flat_decay_mult=0.0, custom_keys={'pos_embed': dict(decay_mult=0.0)}),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    # To 1e-6 at the base rate, and in proportion elsewhere.
    dict(type='CosineAnnealingLR', eta_min_ratio=2e-3, by_epoch=False, begin=1500, end=160000),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
