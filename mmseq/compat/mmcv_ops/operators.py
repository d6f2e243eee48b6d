"""The table of operators that the stand-in for `mmcv._ext` offers, by their names there."""

from __future__ import annotations

from collections.abc import Callable

from mmseq.compat.mmcv_ops.deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from mmseq.compat.mmcv_ops.focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from mmseq.compat.mmcv_ops.ms_deform_attn import ms_deform_attn_backward, ms_deform_attn_forward
from mmseq.compat.mmcv_ops.nms import nms, nms_match, softnms
from mmseq.compat.mmcv_ops.roi_align import roi_align_backward, roi_align_forward
from mmseq.compat.mmcv_ops.roi_pool import roi_pool_backward, roi_pool_forward


def get_compiler_version() -> str:
    """The answer to `mmcv.ops.get_compiler_version`, which mmengine writes into the log of every run."""
    return 'none (mmseq stand-in for mmcv._ext)'


def get_compiling_cuda_version() -> str:
    """The answer to `mmcv.ops.get_compiling_cuda_version`; the wording is mmcv's own for a build without CUDA."""
    return 'not available'


OPERATORS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        deform_conv_backward_input,
        deform_conv_backward_parameters,
        deform_conv_forward,
        get_compiler_version,
        get_compiling_cuda_version,
        modulated_deform_conv_backward,
        modulated_deform_conv_forward,
        ms_deform_attn_backward,
        ms_deform_attn_forward,
        nms,
        nms_match,
        roi_align_backward,
        roi_align_forward,
        roi_pool_backward,
        roi_pool_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softnms,
    )
}
