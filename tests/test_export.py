"""Exported models answer as upstream's code does, at sizes that they were not recorded at, in every format."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from mmseq.errors import InputError
from mmseq.export import FORMATS, Part, export, part_of, publish
from mmseq.export.formats import Format
from mmseq.export.portable import MASK2FORMER, pool_to_cells, portable
from mmseq.export.program import record
from mmseq.model.trained import load_trained
from mmseq.registry import MODELS
from tests.configs import heads_table
from tests.export.models import small_model

pytest.importorskip('onnxruntime', reason='exports to ONNX need mmseq[onnx]')
onnx = pytest.importorskip('onnx', reason='exports to ONNX need mmseq[onnx]')

CONFIGS = Path('configs')
# A small model of every family, at another stride than its own, with the config that it comes from and its channels.
FAMILIES = {
    'sequencer2d': ('seq2d', 16, dict(arch=dict(depths=(1,), dims=(16,), hidden=(4,), patches=(7,)))),
    'shiftvit': ('shiftvit', 16, dict(arch=dict(depths=(1, 1, 1, 1), dim=16, n_div=8))),
    'vision_lstm': ('vil', 32, dict(arch=dict(dim=32, taps=(1,), patch=8, grid=(5, 4)))),
    'vision_lstm_v1': ('vil', 32, dict(arch=dict(dim=32, taps=(0,), patch=8, version=1), directions='bidirectional')),
    'vsequencer': ('vsequencer', 16, dict(arch=dict(depths=(1,), dims=(16,), patches=(8,), grid=(6, 5)))),
}
LAYERS = {'sequencer2d': 2, 'vsequencer': 1}


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


def loaded(family):
    name, channels, options = FAMILIES[family]
    options = options | dict(arch=dict(options['arch'], _delete_=True), out_indices=(0,), out_strides=(16,))
    options = {f'model.backbone.{key}': value for key, value in options.items()}
    # Heads are checked against the backbone, though only the backbone is exported.
    options |= {'model.decode_head.in_index': [0], 'model.decode_head.in_channels': [channels]}
    options |= {'model.auxiliary_head.in_index': 0, 'model.auxiliary_head.in_channels': channels}
    cfg, model = load_trained(str(CONFIGS / f'upernet_{name}_nano_shapes.py'), None, options=options, device='cpu')
    return part_of(lively(model), cfg, 'backbone')


def compared(part, program, form, path):
    """What a format says of its file, after comparing at sizes of one cell, of an even number and of an odd one."""
    contents = FORMATS[form].write(program, path, part, 18)
    run = next(iter(FORMATS[form].runs.values()))(path)
    for batch, size in enumerate([(32, 32), (64, 96), (101, 77)], start=1):
        check = publish.compare(part, run, *publish.sample(part, batch - 1, size))
        assert check.worst < 1e-4, (form, check)
    return contents


@pytest.mark.parametrize('family', FAMILIES)
def test_backbones_of_every_family(family, tmp_path):
    part = loaded(family)
    program = record(part)
    operators = compared(part, program, 'onnx', tmp_path / 'backbone.onnx')['operators']
    assert not {'Loop', 'Scan', 'If'} & set(operators)
    assert operators.get('LSTM', 0) == LAYERS.get(family, 0)
    check_onnx(tmp_path / 'backbone.onnx', FAMILIES[family][1])
    compared(part, program, 'torchscript', tmp_path / 'backbone.pt')
    # The same program as TorchScript is made of, and slow to open.
    if family == 'sequencer2d':
        compared(part, program, 'torch_export', tmp_path / 'backbone.pt2')
        targets = {str(node.target) for node in torch.export.load(tmp_path / 'backbone.pt2').graph.nodes}
        assert 'aten.lstm.input' in targets
        assert not [name for name in targets if name.startswith('mmseq')]


def check_onnx(path, channels):
    made = onnx.load(path)
    assert [entry.version for entry in made.opset_import if not entry.domain] == [18]
    (level,) = made.graph.output
    axes = [axis.dim_param or axis.dim_value for axis in level.type.tensor_type.shape.dim]
    assert axes == ['batch', channels, '((height + 15)//16)', '((width + 15)//16)']
    # Weights are there as the layers want them.
    stored = {tensor.name for tensor in made.graph.initializer}
    assert all(set(node.input[1:4]) <= stored for node in made.graph.node if node.op_type == 'LSTM')
    # Nothing tells where it was made.
    assert b'site-packages' not in path.read_bytes()
    assert str(Path.cwd()).encode() not in path.read_bytes()


class Cells(nn.Module):
    """Images to one map by layers of other cells than LSTM, in both directions and in one."""

    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True, bidirectional=True)
        self.rnn = nn.RNN(8, 5)

    def forward(self, images):
        x = images.flatten(2).transpose(1, 2)
        return (self.rnn(self.gru(x)[0])[0],)


@pytest.fixture
def cells():
    module = lively(Cells())
    return Part('backbone', portable(module), ('level0',), module, 3, 32, dict(values='normalised'))


def test_other_cells(cells, tmp_path):
    operators = compared(cells, record(cells), 'onnx', tmp_path / 'cells.onnx')['operators']
    assert (operators['GRU'], operators['RNN']) == (1, 1)


class Rests(nn.Module):
    """Images to whole numbers, by an operator that onnxscript writes as a function of its own."""

    def forward(self, images):
        places = images.flatten().topk(20)[1]
        return (places % 5,)


def test_outputs_have_types(tmp_path):
    part = Part('backbone', Rests(), ('level0',), Rests(), 3, 32, dict(values='normalised'))
    compared(part, record(part), 'onnx', tmp_path / 'rests.onnx')
    (level,) = onnx.load(tmp_path / 'rests.onnx').graph.output
    assert level.type.tensor_type.elem_type == onnx.TensorProto.INT64


def test_an_opset_that_there_is_not(cells, tmp_path):
    with pytest.raises(InputError, match='no ONNX of opset 99'):
        export(cells, tmp_path / 'x.onnx', opset=99)
    assert list(tmp_path.iterdir()) == []


def test_only_a_file_that_answers_as_the_model_does_is_kept(cells, tmp_path, monkeypatch):
    path, steps = tmp_path / 'x.onnx', []

    def write(program, path, part, opset):
        path.write_text('a file')
        return {}

    def answering(by):
        run = dict(torch=lambda path: lambda images: tuple(x + by for x in cells.reference(images)))
        return Format('.onnx', write, run)

    monkeypatch.setattr(publish, 'FORMATS', dict(onnx=answering(0)))
    report = export(cells, path, sizes=[(32, 40), (33, 32)], on_step=steps.append)
    assert (report.agrees, report.worst) == (True, 0)
    assert steps == ['recording', 'writing', 'comparing at 32 x 40 px', 'comparing at 33 x 32 px']
    assert path.read_text() == 'a file'
    (tmp_path / 'plain').touch()
    assert path.stat().st_mode == (tmp_path / 'plain').stat().st_mode
    (tmp_path / 'plain').unlink()
    path.write_text('an earlier one')
    monkeypatch.setattr(publish, 'FORMATS', dict(onnx=answering(0.002)))
    report = export(cells, path, sizes=[(32, 40)])
    assert (report.agrees, report.as_dict()['published']) == (False, False)
    assert path.read_text() == 'an earlier one'
    assert list(tmp_path.iterdir()) == [path]
    assert export(cells, path, sizes=[(32, 40)], tolerance=0.003).agrees


@pytest.fixture(scope='module')
def segmentor():
    cfg, model = load_trained(str(CONFIGS / 'upernet_seq2d_nano_shapes.py'), None, device='cpu')
    return cfg, lively(model)


def test_segmentor_from_pixels_to_labels(segmentor):
    cfg, model = segmentor
    part = part_of(model, cfg)
    assert publish.compare(part, part.module, *publish.sample(part, 1, (65, 97))).worst < 1e-5
    with torch.no_grad():
        logits, labels = part.module(255 * torch.rand(2, 3, 70, 45))
    assert logits.shape == (2, 9, 70, 45)
    assert labels.dtype == torch.uint8
    assert torch.equal(labels.long(), logits.argmax(1))
    assert (part.about['channels'], part.about['values']) == ('RGB', '0 to 255')
    assert json.loads(part.about['classes']) == list(model.dataset_meta['classes'])
    assert len(json.loads(part.about['palette'])) == 9


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
    model.dataset_meta = dict(classes=('background', 'shape'))
    part = part_of(lively(model), cfg, normalised=True)
    assert part.about['values'] == 'normalised'
    run = part.module
    check = publish.compare(part, run, *publish.sample(part, 1, (70, 45)))
    assert check.worst < 1e-4
    with torch.no_grad():
        logits, labels = run(torch.randn(1, 3, 70, 45))
    assert torch.equal(labels.bool(), logits[:, 0].sigmoid() > 0.4)


def test_differences():
    near, far = torch.tensor([1.0, -3.0]), torch.tensor([1.5, -3.0])
    assert publish.difference(near, far) == publish.Difference(0.5, 3.0)
    assert publish.Difference(0.5, 3.0).measure == 0.5 / 3
    assert publish.Difference(0.5, 0.1).measure == 0.5
    assert publish.difference(near, far[:1]).measure == float('inf')
    scores = torch.tensor([[[[1.0, 4.0]], [[3.0, 3.5]]]])
    expected, answer = torch.tensor([[[1, 0]]]), torch.tensor([[[1, 1]]])
    assert publish.score_difference(answer, expected, scores) == publish.Difference(0.5, 4.0, 0.5)
    assert publish.score_difference(expected, expected, scores).measure == 0
    assert publish.score_difference(answer + 1, expected, scores).measure == float('inf')
    # No number is no agreement.
    check = publish.Check('torch', 1, 2, 2, dict(logits=publish.difference(near, near * float('nan'))))
    report = publish.Report(Path('x'), 'backbone', 'onnx', 1, {}, 32, {}, [check], 1.0)
    assert not report.agrees


class Enlarging(nn.Module):
    """Images enlarged by mmseg's layer."""

    def __init__(self, factor):
        super().__init__()
        # Once mmseq has made up for what mmcv lacks here.
        from mmseg.models.utils import Upsample

        self.layer = Upsample(scale_factor=factor, mode='bilinear', align_corners=False)

    def forward(self, images):
        return (self.layer(images),)


def masks_head():
    """mmseg's head with other layers: a query for each channel, and a class for each."""
    from mmseg.models.decode_heads import Mask2FormerHead

    class Masks(Mask2FormerHead):
        __module__ = MASK2FORMER

        def __init__(self):
            nn.Module.__init__(self)

        def forward(self, maps, samples):
            masks = maps[0][:, :, ::2, ::2]
            return [masks.mean(3)[:, :, :3]], [masks]

    return Masks()


class Segmenting(nn.Module):
    """Images to what mmseg's head makes of them."""

    def __init__(self):
        super().__init__()
        self.head = masks_head()

    def forward(self, images):
        return (self.head.predict([images], [dict(pad_shape=images.shape[2:])], None),)


@pytest.mark.parametrize(
    'make', [partial(Enlarging, 2), partial(Enlarging, 1.5), Segmenting], ids=('twice', 'by half', 'masks')
)
def test_sizes_within_heads_are_no_numbers(make):
    module = make()
    part = Part('model', portable(module), ('maps',), module, 3, 32, dict(values='normalised'))
    run = record(part).module()
    for number, size in enumerate([(33, 47), (64, 32)]):
        assert publish.compare(part, run, *publish.sample(part, number, size)).worst < 1e-5


@pytest.mark.parametrize('size', [1, 3, (2, 5), (None, 2)])
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
    monkeypatch.setattr(model, 'dataset_meta', dict(classes=('road', 'sky')))
    with pytest.raises(InputError, match=r'heads tell 9 classes apart, and the data name 2 \(road, sky\); give'):
        part_of(model, cfg)
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
    part = Part('model', Choosing(), part.outputs, part.reference, 3, 32, part.about)
    with pytest.raises(InputError, match='torch.export cannot record it .*; try --part features or --part backbone'):
        record(part)


def test_upstreams_backbones_return_nothing_from_train():
    backbone = MODELS.build(dict(type='mmdet.ResNet', depth=18))
    copied = portable(backbone)
    assert not copied.training
    assert not any(p.requires_grad for p in copied.parameters())


def of_sequencer():
    """Each head's config with Sequencer2D."""
    return [path for path, name in heads_table.pairs() if name['backbone'] == 'seq2d']


@pytest.mark.long
@pytest.mark.parametrize('path', of_sequencer(), ids=lambda path: path.stem)
def test_files_of_every_head(path, tmp_path):
    """Other families: python -m benchmarks.export_heads."""
    cfg, model = small_model(path, 'seq2d_s', 'seq2d_nano', tmp_path)
    report = export(part_of(model, cfg), tmp_path / 'model.onnx', sizes=[(96, 150), (160, 128), (101, 75)])
    for check in report.checks:
        sys.stdout.write(f'{path.stem}, {check.runtime}, {check.height} x {check.width} px: {check.described()}\n')
    assert report.problem is None, report.problem
