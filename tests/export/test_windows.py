"""Swin's windows are recorded for maps of any size, those of one window included."""

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.fx.experimental import _config as fx_config

from mmseq.backbones.timm_structure import fill_before_shift
from mmseq.export.windows import recordable_windows

timm = pytest.importorskip('timm')


@pytest.mark.parametrize('version', ['', '_v2'])
def test_any_number_of_windows(version):
    swin = pytest.importorskip(f'timm.models.swin_transformer{version}')
    original = swin.window_partition
    block = (swin.SwinTransformerV2Block if version else swin.SwinTransformerBlock)(
        *(8, (56, 56), 2), window_size=7, shift_size=3, always_partition=True, dynamic_mask=True
    )
    net = nn.Sequential(block.eval())
    # As in every backbone.
    fill_before_shift(net)
    shapes = ({0: Dim('batch', min=1), 1: Dim('height', min=1), 2: Dim('width', min=1)},)
    with torch.no_grad(), fx_config.patch(backed_size_oblivious=True), recordable_windows():
        program = torch.export.export(
            net, (torch.zeros(2, 8, 11, 8),), dynamic_shapes=shapes, prefer_deferred_runtime_asserts_over_guards=True
        )
    assert swin.window_partition is original
    recorded = program.module()
    for height, width, batch in ((4, 6, 1), (7, 15, 2), (1, 1, 1)):
        x = torch.randn(batch, height, width, 8)
        with torch.no_grad():
            torch.testing.assert_close(recorded(x), net(x))
