"""The notebooks of the documentation run from their first cell to their last, in an empty folder."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))
nbformat = pytest.importorskip('nbformat', reason='nbformat is not installed (mmseq[dev])')


def outputs(notebook, kind):
    """What cells have shown in a format."""
    return [
        output.data[kind]
        for cell in notebook.cells
        for output in cell.get('outputs', ())
        if output.output_type == 'execute_result' and kind in output.data
    ]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    nbclient = pytest.importorskip('nbclient', reason='nbclient is not installed (mmseq[dev])')
    pytest.importorskip('ipykernel', reason='ipykernel is not installed (mmseq[dev])')
    monkeypatch.delenv('MMSEQ_DATA', raising=False)
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    notebook = nbformat.read(path, as_version=4)
    resources = dict(metadata=dict(path=str(tmp_path)))
    nbclient.NotebookClient(notebook, timeout=300, kernel_name='python3', resources=resources).execute()
    assert any('data:image/png;base64,' in html for html in outputs(notebook, 'text/html'))
    assert any('mIoU' in text or 'bbox_mAP' in text for text in outputs(notebook, 'text/plain'))


def test_both_are_there_and_hold_no_outputs():
    assert [path.stem for path in NOTEBOOKS] == ['own_detector', 'own_segmentor']
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert outputs(notebook, 'text/plain') == []
        assert path.stat().st_size < 20_000
