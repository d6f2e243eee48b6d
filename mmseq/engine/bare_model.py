"""A model without what a run puts around it."""

from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from torch import nn


def bare_model(model: nn.Module) -> nn.Module:
    """The model that the config names, without wrappers for distribution, test-time augmentation and averaging."""
    while is_model_wrapper(model) or isinstance(model, (BaseTTAModel, BaseAveragedModel)):
        model = model.module
    return model
