"""The registries of mmseq: children of mmengine's, so that ``type='mmseq.X'`` builds from every scope."""

from mmengine import registry as _root
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=_root.MODELS,
    scope='mmseq',
    locations=[
        'mmseq.backbones',
        'mmseq.necks',
        'mmseq.segmentors',
        'mmseq.classify.image_classifier',
        'mmseq.classify.preprocessor',
    ],
)
HOOKS = Registry('hook', parent=_root.HOOKS, scope='mmseq', locations=['mmseq.engine.hooks', 'mmseq.engine.fsdp'])
MODEL_WRAPPERS = Registry('model_wrapper', parent=_root.MODEL_WRAPPERS, scope='mmseq', locations=['mmseq.engine.fsdp'])
LOOPS = Registry('loop', parent=_root.LOOPS, scope='mmseq', locations=['mmseq.engine.loops'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=_root.OPTIM_WRAPPERS, scope='mmseq', locations=['mmseq.engine.optim'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=_root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='mmseq',
    locations=['mmseq.engine.layer_decay'],
)
DATASETS = Registry(
    'dataset',
    parent=_root.DATASETS,
    scope='mmseq',
    locations=['mmseq.datasets.tolerant', 'mmseq.datasets.classes.packed'],
)
TRANSFORMS = Registry(
    'transform',
    parent=_root.TRANSFORMS,
    scope='mmseq',
    locations=[
        'mmseq.datasets.color_jitter',
        'mmseq.datasets.multispectral',
        'mmseq.datasets.classes.packed',
        'mmseq.evaluation.corrupting',
        'mmseq.evaluation.views',
    ],
)
METRICS = Registry(
    'metric',
    parent=_root.METRICS,
    scope='mmseq',
    locations=[
        'mmseq.evaluation.metrics',
        'mmseq.evaluation.top_k',
        'mmseq.evaluation.of_instances',
        'mmseq.evaluation.of_labels',
    ],
)
EVALUATORS = Registry('evaluator', parent=_root.EVALUATOR, scope='mmseq', locations=['mmseq.evaluation.views'])
VISBACKENDS = Registry('vis_backend', parent=_root.VISBACKENDS, scope='mmseq', locations=['mmseq.engine.loggers'])
