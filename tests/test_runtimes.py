"""Files of ONNX as functions of arrays, and what is refused."""

import re

import numpy as np
import pytest

from mmseq.errors import InputError
from mmseq.runtimes import MARK, RUNTIMES, OnnxFile

onnx = pytest.importorskip('onnx', reason='exports to ONNX need mmseq[onnx]')
pytest.importorskip('onnxruntime', reason='exports to ONNX need mmseq[onnx]')


def doubling(path, opset=18, operator='Add', **about):
    """A file that doubles images of any height and width."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = [1, 3, 'height', 'width']
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ('images', 'twice')]
    node = helper.make_node(operator, ['images', 'images'], ['twice'])
    graph = helper.make_graph([node], 'graph', values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    helper.set_model_props(model, about)
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_runs(runtime, tmp_path):
    pytest.importorskip(runtime)
    file = OnnxFile(doubling(tmp_path / 'x.onnx', **{MARK: '1', 'word': 'known'}), runtime, threads=1)
    assert file.about['word'] == 'known'
    assert file.inputs == {'images': (np.dtype('float32'), (1, 3, None, None))}
    images = np.random.default_rng(0).random((1, 3, 5, 7), np.float32)
    assert (file(dict(images=images))['twice'] == 2 * images).all()


@pytest.mark.parametrize(
    'images,words',
    [
        (np.zeros((1, 3, 4, 4), np.uint8), 'images is uint8 of 1 x 3 x 4 x 4, and the file takes float32'),
        (np.zeros((2, 3, 4, 4), np.float32), 'takes float32 of 1 x 3 x any x any'),
        (np.zeros((3, 4, 4), np.float32), 'is float32 of 3 x 4 x 4, and'),
        (np.zeros((1, 3, 9, 3), np.float32), 'images of 9 x 3 px, and the file takes sides of 4 px and more; enlarge'),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, images, words):
    file = OnnxFile(doubling(tmp_path / 'x.onnx', **{MARK: '1', 'least': '4'}))
    with pytest.raises(InputError, match=words):
        file(dict(images=images))


def test_files_that_do_not_fit(tmp_path):
    with pytest.raises(InputError, match=r'none\.onnx: no such file'):
        OnnxFile(tmp_path / 'none.onnx')
    (tmp_path / 'torn.onnx').write_bytes(b'no model')
    with pytest.raises(InputError, match=r'torn\.onnx: no file of ONNX, or a damaged one'):
        OnnxFile(tmp_path / 'torn.onnx')
    with pytest.raises(InputError, match='was not written by mmseq export-onnx'):
        OnnxFile(doubling(tmp_path / 'foreign.onnx'))
    with pytest.raises(InputError, match='onnxruntime .* cannot open it .*pset 999'):
        OnnxFile(doubling(tmp_path / 'later.onnx', opset=999, **{MARK: '1'}))


def test_what_fails_within_is_no_traceback_of_the_runtime(tmp_path):
    file = OnnxFile(doubling(tmp_path / 'x.onnx', operator='MatMul', **{MARK: '1'}))
    with pytest.raises(RuntimeError, match='onnxruntime: .*'):
        file(dict(images=np.zeros((1, 3, 4, 5), np.float32)))


def test_absent_packages(tmp_path, monkeypatch):
    path = doubling(tmp_path / 'x.onnx', **{MARK: '1'})
    monkeypatch.setitem(__import__('sys').modules, 'openvino', None)
    with pytest.raises(InputError, match=re.escape('openvino is not installed: pip install openvino')):
        OnnxFile(path, 'openvino')
