"""Wrappers are taken off a model, and nothing else."""

from collections.abc import Callable

import pytest
from mmengine.model import BaseModel, BaseTTAModel, ExponentialMovingAverage
from torch import nn

from mmseq.engine.bare_model import bare_model


class Model(BaseModel):
    """A model whose own layer has the name that wrappers give to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(1, 1)

    def forward(self, inputs: list) -> list:
        return inputs


class Augmented(BaseTTAModel):
    def merge_preds(self, data_samples_list: list) -> list:
        return data_samples_list


@pytest.mark.parametrize(
    'wrap',
    [
        lambda model: model,
        nn.DataParallel,
        Augmented,
        lambda model: nn.DataParallel(Augmented(model)),
    ],
)
def test_the_model_itself(wrap: Callable[[nn.Module], nn.Module]) -> None:
    model = Model()
    assert bare_model(wrap(model)) is model


def test_an_average_is_a_model_of_its_own() -> None:
    model = Model()
    average = ExponentialMovingAverage(nn.DataParallel(model))
    assert isinstance(bare_model(average), Model)
    assert bare_model(average) is not model
