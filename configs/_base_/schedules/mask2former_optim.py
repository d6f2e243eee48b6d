"""The optimizer of Mask2Former (mmdetection and mmsegmentation agree): AdamW 1e-4, a tenth for the backbone, clipping.

As in their Swin configs, norms and position embeddings keep their decay off. The longest key that fits a parameter
counts, so that the backbone's norms need keys longer than 'backbone'; no head has parameters of these names.
"""

_embedding = dict(lr_mult=1.0, decay_mult=0.0)
_backbone_norm = dict(lr_mult=0.1, decay_mult=0.0)
_norms = ('.norm.weight', '.norm.bias', '.norm1.weight', '.norm1.bias', '.norm2.weight', '.norm2.bias')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=0.01, norm_type=2),
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=0.1, decay_mult=1.0),
            **dict.fromkeys(('backbone.norms', 'backbone.stem.pos_embed', *_norms), _backbone_norm),
            'query_embed': _embedding,
            'query_feat': _embedding,
            'level_embed': _embedding,
        },
        norm_decay_mult=0.0,
    ),
)
del _embedding, _backbone_norm, _norms
