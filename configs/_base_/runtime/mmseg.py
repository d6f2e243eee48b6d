"""mmsegmentation's runtime with ours."""

_base_ = ['mmseg::_base_/default_runtime.py', 'common.py']
