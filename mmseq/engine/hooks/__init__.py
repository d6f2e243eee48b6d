"""Hooks for mmengine's Runner, registered in ``mmseq.registry.HOOKS``."""

from mmseq.engine.hooks.bad_numbers import BadNumbersHook
from mmseq.engine.hooks.boxes_only import BoxesOnlyHook
from mmseq.engine.hooks.checkpoint import SafeCheckpointHook
from mmseq.engine.hooks.corrupt_data import CorruptDataHook
from mmseq.engine.hooks.curves import CurvesHook
from mmseq.engine.hooks.determinism import DeterminismHook
from mmseq.engine.hooks.early_stopping import EarlyStoppingHook
from mmseq.engine.hooks.eval_artifacts import EvalArtifactsHook
from mmseq.engine.hooks.final_weights import FinalWeightsHook
from mmseq.engine.hooks.kept_memory import KeptMemoryHook
from mmseq.engine.hooks.loader_share import LoaderShareHook
from mmseq.engine.hooks.model_form import ChannelsLastHook, CompileHook
from mmseq.engine.hooks.pictures import PicturesHook
from mmseq.engine.hooks.preemption import PreemptionHook
from mmseq.engine.hooks.random_streams import RandomStreamsHook
from mmseq.engine.hooks.recipe import RecipeHook
from mmseq.engine.hooks.run_record import RunRecordHook
from mmseq.engine.hooks.shared_annotations import SharedAnnotationsHook
from mmseq.engine.hooks.shared_statistics import SharedStatisticsHook
from mmseq.engine.hooks.strict_load import StrictLoadHook
from mmseq.engine.hooks.tiles import TilesHook
from mmseq.engine.hooks.trial import TrialHook
from mmseq.engine.hooks.unused_parameters import UnusedParametersHook
from mmseq.engine.hooks.validation_pictures import ValidationPicturesHook

__all__ = [
    'BadNumbersHook',
    'BoxesOnlyHook',
    'ChannelsLastHook',
    'CompileHook',
    'CorruptDataHook',
    'CurvesHook',
    'DeterminismHook',
    'EarlyStoppingHook',
    'EvalArtifactsHook',
    'FinalWeightsHook',
    'KeptMemoryHook',
    'LoaderShareHook',
    'PicturesHook',
    'PreemptionHook',
    'RandomStreamsHook',
    'RecipeHook',
    'RunRecordHook',
    'SafeCheckpointHook',
    'SharedAnnotationsHook',
    'SharedStatisticsHook',
    'StrictLoadHook',
    'TilesHook',
    'TrialHook',
    'UnusedParametersHook',
    'ValidationPicturesHook',
]
