"""What makes today's wheels work together; each module closes one cause and says which version would let it go."""

import warnings

from mmseq.compat import (
    checkpoint_io,
    config_text,
    ignored_pixels,
    lvis_numpy,
    mmcv_ops,
    package_names,
    panoptic_api,
    postscript,
    pretrained_init,
    public_configs,
    roi_precision,
    shipped_configs,
    voc_threads,
    yaml_values,
)


def install() -> None:
    """Make the OpenMMLab packages usable as they are installed today.

    Only import hooks are placed, so this is cheap and loads none of the packages that it changes. Calling it again does
    nothing.
    """
    panoptic_api.install()
    mmcv_ops.install()
    checkpoint_io.install()
    pretrained_init.install()
    postscript.install()
    roi_precision.install()
    ignored_pixels.install()
    shipped_configs.install()
    config_text.install()
    public_configs.install()
    yaml_values.install()
    lvis_numpy.install()
    voc_threads.install()
    package_names.install()
    # mmengine imports pkg_resources, which says at every import that it will go; we keep setuptools below 81 for it.
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated', category=UserWarning)
