"""Our models in timm's registry: ``import mmseq.timm``, and ``timm.create_model('mmseq_sequencer2d_s')`` makes one.

The names begin with ``mmseq_``, since timm has Sequencer2D of its own. ``features_only=True``, ``out_indices``,
``num_classes``, ``in_chans``, ``drop_rate``, ``drop_path_rate`` and ``pretrained`` are as of timm's own models; images
may have any size. Maps have the strides 4, 8, 16, 32, which decoders elsewhere take for granted: they are resampled
true to coordinates and without parameters. ``out_strides=(7, 14, 14, 14)`` keeps Sequencer2D's own.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from mmseq.checkpoints.published import Published, published
from mmseq.classify.classifier import FAMILIES, Classifier, build_classifier, classifiers_names
from mmseq.classify.pixels import CROPS, MEAN, STD, USUAL_SIZE

# timm adds the models' names.
__all__ = ['archs', 'entry_point', 'model_name', 'pretrained_cfg', 'register', 'weights_of']
STRIDES = (4, 8, 16, 32)


def archs(family: str) -> list[str]:
    """The rows of a family's table."""
    return list(vars(sys.modules[FAMILIES[family].__module__])['ARCHS'])


def model_name(family: str, arch: str) -> str:
    """What timm calls a model of ours."""
    return f'mmseq_{family}_{arch}'


def weights_of(family: str, arch: str) -> Published | None:
    """The first published file for an arch that needs no further options."""
    rows = (row for row in published() if row.family == FAMILIES[family].family and row.arch == arch)
    return next((row for row in rows if not row.options), None)


def pretrained_cfg(family: str, arch: str) -> dict[str, Any]:
    """What timm is to know of a model and its published weights."""
    row, kernel = weights_of(family, arch), FAMILIES[family].input_conv
    return {
        'url': row.address if row else '',
        'license': row.licence.lower() if row else None,
        'num_classes': 1000,
        'input_size': (3, USUAL_SIZE, USUAL_SIZE),
        'pool_size': None,
        'crop_pct': CROPS[family],
        'interpolation': 'bicubic',
        'mean': MEAN,
        'std': STD,
        'first_conv': f'backbone.{kernel.removesuffix(".weight")}',
        'classifier': 'head',
    }


default_cfgs = generate_default_cfgs(
    {model_name(family, arch): pretrained_cfg(family, arch) for family in FAMILIES for arch in archs(family)}
)


def entry_point(family: str, arch: str) -> Callable[..., Classifier]:
    """The function by which timm makes a model."""

    def create(pretrained: bool = False, **options: Any) -> Classifier:
        options.setdefault('out_strides', STRIDES)
        return build_model_with_cfg(
            partial(build_classifier, family, arch),
            model_name(family, arch),
            pretrained,
            pretrained_filter_fn=classifiers_names,
            feature_cfg={'out_indices': (0, 1, 2, 3), 'feature_cls': 'getter'},
            **options,
        )

    create.__name__ = create.__qualname__ = model_name(family, arch)
    return create


def register() -> list[str]:
    """Put all of our models into timm's registry; returns their names. Called when this module is loaded."""
    for family in FAMILIES:
        for arch in archs(family):
            create = entry_point(family, arch)
            setattr(sys.modules[__name__], create.__name__, create)
            register_model(create)
    return list(default_cfgs)


register()
