"""A model without what a run puts around it."""

from mmengine.model import BaseAveragedModel, BaseModel, BaseTTAModel, is_model_wrapper


def bare_model(model: BaseModel) -> BaseModel:
    """The model that the config names, without wrappers for distribution, test-time augmentation and averaging."""
    while is_model_wrapper(model) or isinstance(model, (BaseTTAModel, BaseAveragedModel)):
        model = model.module
    return model
