"""Exported models answer as upstream's code does, at sizes that they were not recorded at, in every format."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmseq.analysis.export import FORMATS, export, onnx_file, part_of, publish
from mmseq.analysis.export.portable import pool_to_cells, portable
from mmseq.analysis.export.program import record, with_torchs_own
from mmseq.analysis.trained import load_trained
from mmseq.errors import InputError

pytest.importorskip('onnxruntime', reason='exports to ONNX need mmseq[onnx]')
onnx = pytest.importorskip('onnx', reason='exports to ONNX need mmseq[onnx]')

CONFIGS = Path('configs')
# Small models of every family, with what changes the graph: another stride than the backbone's own, a position
# embedding, both versions of Vision-LSTM, other cells than LSTM.
SMALL = dict(out_indices=(0, 1), out_strides=(4, 16))
FAMILIES = {
    'sequencer2d': ('seq2d', dict(arch=dict(depths=(1, 1), dims=(16, 24), hidden=(4, 6), patches=(7, 2)))),
    'sequencer2d_gru': (
        'seq2d',
        dict(arch=dict(depths=(1, 1), dims=(16, 24), hidden=(4, 6), patches=(7, 2), cell='gru', union='add')),
    ),
    'sequencer2d_rnn': (
        'seq2d',
        dict(arch=dict(depths=(1, 1), dims=(16, 24), hidden=(4, 6), patches=(7, 2), cell='rnn', bidirectional=False)),
    ),
    'shiftvit': ('shiftvit', dict(arch=dict(depths=(1, 1, 1, 1), dim=16, n_div=8))),
    'vision_lstm': ('vil', dict(arch=dict(dim=32, taps=(1, 3), patch=8, grid=(5, 4)))),
    'vision_lstm_v1': ('vil', dict(arch=dict(dim=32, taps=(1, 2), patch=8, version=1), directions='quad')),
    'vsequencer': (
        'vsequencer',
        dict(arch=dict(depths=(1, 1), dims=(16, 24), patches=(8, 2), grid=(6, 5))),
    ),
}
CHANNELS = {'seq2d': [16, 24], 'shiftvit': [16, 32], 'vil': [32, 32], 'vsequencer': [16, 24]}
RECURRENT = {'sequencer2d': ('LSTM', 4), 'sequencer2d_gru': ('GRU', 4), 'sequencer2d_rnn': ('RNN', 4)}
RECURRENT['vsequencer'] = ('LSTM', 2)


def lively(model):
    """No parameter is 0 or 1, so that every one of them counts."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith('running_var'):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.is_floating_point():
                tensor += (0.05 if tensor.dim() > 1 else 0.2) * torch.randn(tensor.shape, generator=generator)
    return model


def loaded(name, options):
    options = SMALL | options | dict(arch=dict(options['arch'], _delete_=True))
    options = {f'model.backbone.{key}': value for key, value in options.items()}
    # Heads are checked against the backbone, though only the backbone is exported.
    options |= {'model.decode_head.in_index': [0, 1], 'model.decode_head.in_channels': CHANNELS[name]}
    options |= {'model.auxiliary_head.in_index': 1, 'model.auxiliary_head.in_channels': CHANNELS[name][1]}
    cfg, model = load_trained(str(CONFIGS / f'upernet_{name}_nano_shapes.py'), None, options=options, device='cpu')
    return cfg, lively(model)


@pytest.mark.parametrize('family', FAMILIES)
def test_backbones_of_every_family_in_every_format(family, tmp_path):
    name, options = FAMILIES[family]
    cfg, model = loaded(name, options)
    part = part_of(model, cfg, 'backbone')
    program = record(part)
    for form, format_ in FORMATS.items():
        path = tmp_path / f'backbone{format_.suffix}'
        contents = format_.write(program, path, part, 20)
        run = format_.run(path)
        # A map of one cell, one that has none to spare, and odd ones.
        for batch, size in enumerate([(32, 32), (64, 96), (101, 77)], start=1):
            check = publish.compare(part, run, batch, size)
            assert check.worst < 1e-4, (form, check)
        if form == 'onnx':
            operators = contents['operators']
    assert not {'Loop', 'Scan', 'If'} & set(operators)
    kinds = {kind: operators[kind] for kind in ('LSTM', 'GRU', 'RNN') if kind in operators}
    assert kinds == dict([RECURRENT[family]] if family in RECURRENT else [])


def test_weights_of_recurrent_layers_are_constants_and_axes_have_names(tmp_path):
    cfg, model = loaded(*FAMILIES['sequencer2d'])
    part = part_of(model, cfg, 'backbone')
    path = tmp_path / 'backbone.onnx'
    onnx_file.write_onnx(record(part), path, part, 18)
    made = onnx.load(path)
    stored = {tensor.name for tensor in made.graph.initializer}
    layers = [node for node in made.graph.node if node.op_type == 'LSTM']
    assert layers
    assert all(set(node.input[1:4]) <= stored for node in layers)
    axes = [[axis.dim_param or axis.dim_value for axis in x.type.tensor_type.shape.dim] for x in made.graph.output]
    assert axes == [['batch', 16, '((height + 3)//4)', '((width + 3)//4)']] + [
        ['batch', 24, '((height + 15)//16)', '((width + 15)//16)']
    ]
    assert [entry.version for entry in made.opset_import if not entry.domain] == [18]
    # Nothing tells where it was made.
    assert b'site-packages' not in path.read_bytes()
    assert str(Path.cwd()).encode() not in path.read_bytes()


@pytest.fixture(scope='module')
def segmentor():
    """The demo's segmentor with fewer blocks."""
    options = {
        'model.backbone.arch': dict(
            _delete_=True, depths=(1, 1, 1, 1), dims=(16, 24, 24, 32), hidden=(4, 6, 6, 8), patches=(8, 2, 1, 2)
        ),
        'model.backbone.out_strides': (4, 8, 16, 32),
    }
    options |= {'model.decode_head.in_channels': (16, 24, 24, 32), 'model.auxiliary_head.in_channels': 24}
    options |= {'model.decode_head.channels': 8, 'model.auxiliary_head.channels': 8}
    cfg, model = load_trained(str(CONFIGS / 'upernet_seq2d_nano_shapes.py'), None, options=options, device='cpu')
    return cfg, lively(model)


def test_segmentor_from_pixels_to_labels(segmentor, tmp_path):
    cfg, model = segmentor
    path = tmp_path / 'segmentor.onnx'
    said = []
    report = export(part_of(model, cfg), path, sizes=[(32, 32), (65, 97)], said=said.append)
    assert report.agrees
    assert report.worst < 1e-4
    assert said == ['recording', 'writing', 'comparing at 32 x 32 px', 'comparing at 65 x 97 px']
    images = 255 * torch.rand(2, 3, 70, 45)
    logits, labels = FORMATS['onnx'].run(path)(images)
    assert logits.shape == (2, 9, 70, 45)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), logits.argmax(1))
    about = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (about['channels'], about['values']) == ('RGB', '0 to 255')
    assert json.loads(about['classes']) == list(model.dataset_meta['classes'])
    assert len(json.loads(about['palette'])) == 9
    assert list(tmp_path.iterdir()) == [path]


def test_normalised_images_and_a_lone_class():
    cfg, model = load_trained(
        str(CONFIGS / 'upernet_seq2d_nano_shapes.py'),
        None,
        options={
            'model.decode_head.num_classes': 2,
            'model.decode_head.out_channels': 1,
            'model.decode_head.threshold': 0.4,
            'model.decode_head.loss_decode.use_sigmoid': True,
        },
        device='cpu',
    )
    part = part_of(lively(model), cfg, normalised=True)
    assert part.about['values'] == 'normalised'
    run = part.module
    check = publish.compare(part, run, 2, (70, 45))
    assert check.worst < 1e-4
    with torch.no_grad():
        logits, labels = run(torch.randn(1, 3, 70, 45))
    assert torch.equal(labels.bool(), logits[:, 0].sigmoid() > 0.4)


def test_a_file_that_answers_otherwise_is_not_kept(segmentor, tmp_path, monkeypatch):
    cfg, model = segmentor
    part = part_of(model, cfg, 'backbone')
    path = tmp_path / 'backbone.onnx'
    path.write_text('an earlier one')
    monkeypatch.setitem(onnx_file.GATES, 'lstm', (0, 1, 2, 3))
    report = export(part, path, sizes=[(64, 64)])
    assert not report.agrees
    assert report.as_dict()['published'] is False
    assert path.read_text() == 'an earlier one'
    assert list(tmp_path.iterdir()) == [path]


def test_programs_run_without_this_package(segmentor):
    cfg, model = segmentor
    program = with_torchs_own(record(part_of(model, cfg, 'backbone')))
    targets = {str(node.target) for node in program.graph.nodes}
    assert 'aten.lstm.input' in targets
    assert not [name for name in targets if name.startswith('mmseq')]


def test_differences():
    near, far = torch.tensor([1.0, -3.0]), torch.tensor([1.5, -3.0])
    assert publish.difference(near, far) == publish.Difference(0.5, 3.0)
    assert publish.Difference(0.5, 3.0).measure == 0.5 / 3
    assert publish.Difference(0.5, 0.1).measure == 0.5
    assert publish.difference(near, far[:1]).measure == float('inf')
    scores = torch.tensor([[[[1.0, 4.0]], [[3.0, 3.5]]]])
    expected, answer = torch.tensor([[[1, 0]]]), torch.tensor([[[1, 1]]])
    assert publish.hesitation(answer, expected, scores) == publish.Difference(0.5, 4.0, 0.5)
    assert publish.hesitation(expected, expected, scores).measure == 0
    assert publish.hesitation(answer + 1, expected, scores).measure == float('inf')
    # No number is no agreement.
    check = publish.Check(1, 2, 2, dict(logits=publish.difference(near, near * float('nan'))))
    report = publish.Report(Path('x'), 'backbone', 'onnx', 1, {}, 32, {}, [check], 1.0)
    assert not report.agrees


@pytest.mark.parametrize('size', [1, 3, (2, 5)])
def test_pooling_is_upstreams(size):
    for shape in [(1, 2, 1, 1), (2, 3, 7, 4), (1, 1, 12, 11)]:
        x = torch.randn(shape)
        torch.testing.assert_close(pool_to_cells(x, size), nn.AdaptiveAvgPool2d(size)(x), rtol=1e-5, atol=1e-6)
    model = nn.Sequential(nn.AdaptiveAvgPool2d(size))
    assert 'forward' in vars(portable(model)[0])
    assert 'forward' not in vars(model[0])


def test_refusals(segmentor, tmp_path, monkeypatch):
    cfg, model = segmentor
    part = part_of(model, cfg, 'backbone')
    with pytest.raises(InputError, match='31 x 64: the backbone is exported for 32 px and more'):
        export(part, tmp_path / 'x.onnx', sizes=[(31, 64)])
    monkeypatch.setenv('MMSEQ_BACKEND', 'native')
    with pytest.raises(InputError, match='MMSEQ_BACKEND=native: unset it'):
        record(part)
    assert list(tmp_path.iterdir()) == []


def test_what_depends_on_values_is_refused_in_one_sentence(segmentor):
    cfg, model = segmentor

    class Choosing(nn.Module):
        def forward(self, images):
            return (images[images > 0] if images.sum() > 0 else images,)

    part = part_of(model, cfg, 'backbone')
    part = publish.Part('segmentor', Choosing(), part.outputs, part.judge, 3, 32, part.about)
    with pytest.raises(InputError, match='torch.export cannot record it .*; try --part features or --part backbone'):
        record(part)
