"""The boxes of the embedded shapes: shapes_instance.py without the masks."""

_base_ = 'shapes_instance.py'
boxes = dict(type='LoadAnnotations', with_bbox=True)
train_pipeline = [boxes if step.type == 'LoadAnnotations' else step for step in _base_.train_pipeline]
test_pipeline = [boxes if step.type == 'LoadAnnotations' else step for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(metric='bbox')
test_evaluator = dict(metric='bbox')
