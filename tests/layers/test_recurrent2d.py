"""The recurrent mixer and its ablations."""

import pytest
import torch
from torch import nn

from mmseq.layers import Recurrent2D, drop_path_ramp


@pytest.mark.parametrize('cell', ['lstm', 'gru', 'rnn'])
@pytest.mark.parametrize('bidirectional', [True, False])
@pytest.mark.parametrize('union', ['cat', 'add', 'vertical', 'horizontal'])
def test_every_variant_equals_plain_modules(cell, bidirectional, union):
    mixer = Recurrent2D(8, 4, cell, bidirectional, union).double()
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    parts = {}
    if union != 'horizontal':
        columns = [mixer.rnn_v(x[:, :, j])[0] for j in range(5)]
        parts['v'] = torch.stack(columns, dim=2)
    if union != 'vertical':
        parts['h'] = torch.stack([mixer.rnn_h(x[:, i])[0] for i in range(3)], dim=1)
    joined = torch.cat([*parts.values()], -1) if union == 'cat' else torch.stack([*parts.values()]).sum(0)
    torch.testing.assert_close(mixer(x), mixer.fc(joined))


def test_channels_that_do_not_fit_without_fc():
    with pytest.raises(ValueError, match='needs 8 joined channels'):
        Recurrent2D(8, 3, with_fc=False)
    assert isinstance(Recurrent2D(8, 2, with_fc=False).fc, nn.Identity)


def test_unknown_cell():
    with pytest.raises(ValueError, match='qrnn'):
        Recurrent2D(8, 2, cell='qrnn')


def test_drop_path_ramp_is_linear_over_the_network():
    assert drop_path_ramp(0.3, (1, 2, 1)) == [[0.0], pytest.approx([0.1, 0.2]), pytest.approx([0.3])]


@pytest.mark.parametrize('cell', ['lstm', 'gru', 'rnn'])
def test_gradients_in_eval_mode_ask_for_what_cudnn_keeps_in_training_alone(cell, monkeypatch):
    """As mmseq erf does; cuDNN refuses the backward pass of a recurrent layer that ran in eval mode."""
    name = 'rnn_tanh' if cell == 'rnn' else cell
    original, training = getattr(torch._VF, name), []

    def spy(*arguments):
        # has_biases, layers, dropout, train
        training.append(next(value for value in arguments[3:] if isinstance(value, float)) == 0 and arguments[-3])
        return original(*arguments)

    monkeypatch.setattr(torch._VF, name, spy)
    mixer = Recurrent2D(8, 4, cell, union='add').eval()
    x = torch.randn(1, 3, 5, 8, requires_grad=True)
    mixer(x).sum().backward()
    with torch.no_grad():
        mixer(x)
    assert training == [True, True, False, False]
    assert not any(module.training for module in mixer.modules())
