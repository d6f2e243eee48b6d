"""The embedded shapes as label maps; mmseq make-shapes writes them, mmseq/datasets/shapes.py has the classes."""

_base_ = 'ade20k.py'
data_root = '{{$MMSEQ_DATA:data}}/shapes/ade/ADEChallengeData2016'
metainfo = dict(
    classes=('background', 'circle', 'square', 'triangle', 'star', 'cross', 'ring', 'crescent', 'bowtie'),
    palette=[
        [60, 60, 66],
        [230, 60, 60],
        [60, 120, 230],
        [70, 180, 75],
        [250, 200, 40],
        [150, 70, 200],
        [255, 130, 30],
        [60, 200, 210],
        [235, 80, 190],
    ],
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomResize', scale=(160, 160), ratio_range=(0.8, 1.2), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(128, 128)),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(160, 160), keep_ratio=True),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
dataset = dict(type='BaseSegDataset', data_root=data_root, metainfo=metainfo, img_suffix='.png', reduce_zero_label=True)
# The loader is cheap and the CPU is needed for training: no workers by default.
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False, dataset=dict(**dataset, pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(**dataset, pipeline=test_pipeline))
test_dataloader = val_dataloader
