"""Pascal Context with 60 classes, of which the background is the first: pascal_context_59.py with another loader."""

_base_ = 'pascal_context_59.py'
labels = dict(type='LoadAnnotations', reduce_zero_label=False)
train_pipeline = [labels if step.type == 'LoadAnnotations' else step for step in _base_.train_pipeline]
test_pipeline = [labels if step.type == 'LoadAnnotations' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(type='PascalContextDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='PascalContextDataset', pipeline=test_pipeline))
test_dataloader = val_dataloader
