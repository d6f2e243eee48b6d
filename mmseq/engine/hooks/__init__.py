"""Hooks for mmengine's Runner, registered in ``mmseq.registry.HOOKS``."""

from mmseq.engine.hooks.boxes_only import BoxesOnlyHook
from mmseq.engine.hooks.curves import CurvesHook
from mmseq.engine.hooks.eval_artifacts import EvalArtifactsHook
from mmseq.engine.hooks.model_form import ChannelsLastHook, CompileHook
from mmseq.engine.hooks.pictures import PicturesHook
from mmseq.engine.hooks.random_streams import RandomStreamsHook
from mmseq.engine.hooks.recipe import RecipeHook
from mmseq.engine.hooks.strict_load import StrictLoadHook
from mmseq.engine.hooks.unused_parameters import UnusedParametersHook

__all__ = [
    'BoxesOnlyHook',
    'ChannelsLastHook',
    'CompileHook',
    'CurvesHook',
    'EvalArtifactsHook',
    'PicturesHook',
    'RandomStreamsHook',
    'RecipeHook',
    'StrictLoadHook',
    'UnusedParametersHook',
]
