"""``init_cfg`` of upstream's modules and of whole models is counted, and refused where it does not fit."""

import re

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel, BaseModule
from mmengine.registry import MODELS
from torch import nn

from mmseq.errors import InputError


def layers(count: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Linear(2, 2) for _ in range(count)))


@MODELS.register_module()
class WholeOfTwo(BaseModel):
    def __init__(self, init_cfg=None, part_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.part = PartOfTwo(part_cfg)

    def forward(self, inputs):
        return inputs


class PartOfTwo(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.layers = layers(2)


@pytest.mark.parametrize('key', ['init_cfg', 'part_cfg'])
def test_init_cfg_of_upstreams_modules_is_counted(tmp_path, key, caplog):
    source = WholeOfTwo()
    state = source.state_dict() if key == 'init_cfg' else source.part.state_dict()
    torch.save(state, tmp_path / 'right.pth')
    torch.save(layers(2).state_dict(), tmp_path / 'wrong.pth')
    cfg = ConfigDict(type='WholeOfTwo', **{key: dict(type='Pretrained', checkpoint=str(tmp_path / 'right.pth'))})
    model = MODELS.build(cfg)
    model.init_weights()
    assert torch.equal(model.part.layers[1].weight, source.part.layers[1].weight)
    cfg[key].checkpoint = str(tmp_path / 'wrong.pth')
    with pytest.raises(InputError, match=re.escape(cfg[key].checkpoint)):
        MODELS.build(cfg).init_weights()
