"""Files are whole or absent, whatever happens to their writer; what killed writers leave is removed."""

import fcntl
import json
import math
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image

from mmseq.checkpoints.storage import save_file
from mmseq.files import (
    append_json_line,
    draft_beside,
    drafts_in,
    from_here,
    is_abandoned,
    put_in_place,
    whole_file,
    whole_folder,
    write_csv,
    write_figure,
    write_json,
    write_png,
    write_text,
    write_yaml,
)
from mmseq.runs.run import read_history

WAIT = "print('ready', flush=True); time.sleep(60)"
WRITERS = {
    'safetensors': (
        'import torch\nfrom mmseq.checkpoints import storage\n'
        f'storage.put_in_place = lambda *_: ({WAIT.replace("; ", ", ")})\n'
        'storage.save_file({"a": torch.ones(1)}, "a.safetensors")'
    ),
    'file': f'with files.whole_file("metrics.json") as draft: draft.write_text("half"); {WAIT}',
    'before renaming': f'os.replace = lambda *_: ({WAIT.replace("; ", ", ")})\nfiles.write_json("last_validation", 4)',
    'suffix': f'with files.whole_file("clip.mp4", ".mp4") as draft: draft.write_text("half"); {WAIT}',
    'folder': f'with files.whole_folder("shapes") as draft: (draft / "a.png").touch(); {WAIT}',
}


def start(folder: Path, code: str) -> subprocess.Popen:
    """A process that runs code in a folder, once it says that it is ready."""
    code = f'import os, time\nfrom mmseq import files\n{code}'
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get('PYTHONPATH', '')])
    environment = dict(os.environ, PYTHONPATH=path)
    process = subprocess.Popen(
        [sys.executable, '-c', code], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == 'ready\n'
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize('code', WRITERS.values(), ids=WRITERS)
def test_what_a_killed_process_leaves_is_no_result_and_goes_with_the_next_write(tmp_path: Path, code: str) -> None:
    process = start(tmp_path, code)
    drafts = drafts_in(tmp_path)
    assert names(tmp_path) == sorted(draft.name for draft in drafts) != []
    assert not any(map(is_abandoned, drafts))
    kill(process)
    assert drafts_in(tmp_path) == drafts
    assert all(map(is_abandoned, drafts))
    write_text(tmp_path / 'another', 'x')
    assert names(tmp_path) == ['another']


def test_drafts_of_the_living_stay(tmp_path: Path) -> None:
    process = start(tmp_path, WRITERS['file'])
    with draft_beside(tmp_path / 'mine') as mine:
        mine.touch()
        assert not is_abandoned(mine)
        write_text(tmp_path / 'another', 'x')
        assert len(drafts_in(tmp_path)) == 2
    # Another process had this number before, as in a container that was started again.
    mine.touch()
    assert is_abandoned(mine)
    kill(process)


def test_drafts_of_other_machines_stay_for_a_day(tmp_path: Path) -> None:
    draft = tmp_path / '.metrics.json.00000000-1-0123abcd.draft'
    draft.touch()
    assert not is_abandoned(draft)
    os.utime(draft, (time.time() - 25 * 3600,) * 2)
    assert is_abandoned(draft)
    for name in ('.draft', '.a.draft', '.a.0123abcd-1-0123abcd.drafts', 'a.0123abcd-1-0123abcd.draft', '.a.tmp'):
        (tmp_path / name).touch()
    assert drafts_in(tmp_path) == [draft]


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / 'a', 'old')

    def fail(error: BaseException) -> None:
        with whole_file(tmp_path / 'a') as draft:
            draft.write_text('half')
            raise error

    for error in (ValueError('wrong'), KeyboardInterrupt('by hand')):
        with pytest.raises(type(error), match=str(error)):
            fail(error)
    # A full disk says nothing about where.
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"):
        fail(OSError(28, 'No space left on device'))
    assert (tmp_path / 'a').read_text() == 'old'
    assert names(tmp_path) == ['a']


def test_links_are_written_through_and_devices_as_they_are(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to('real/file')
    write_text(tmp_path / 'link', 'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'real' / 'file').read_text() == 'new'
    os.mkfifo(tmp_path / 'pipe')
    reader = os.open(tmp_path / 'pipe', os.O_RDONLY | os.O_NONBLOCK)
    write_text(tmp_path / 'pipe', 'through')
    assert os.read(reader, 99) == b'through'
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / 'pipe').stat().st_mode)
    with pytest.raises(IsADirectoryError, match='real'):
        write_text(tmp_path / 'real', 'x')


def test_every_writer_gives_the_mode_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / 'a.txt', '')
        write_png(tmp_path / 'a.png', np.zeros((2, 2), np.uint8))
        write_figure(tmp_path / 'b.png', Figure())
        append_json_line(tmp_path / 'a.jsonl', {})
        for suffix in ('.pth', '.safetensors'):
            save_file({'a': torch.ones(1)}, tmp_path / f'a{suffix}')
        with whole_folder(tmp_path / 'folder') as fresh:
            (fresh / 'file').touch()
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes.pop('folder') == '0o750'
    assert set(modes.values()) == {'0o640'}
    assert len(modes) == 6


def test_a_folder_is_swapped_in_or_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(content: str) -> None:
        with whole_folder(tmp_path / 'set') as fresh:
            (fresh / content).touch()
            if content == 'bad':
                raise ValueError('bad')

    write('one')
    write('two')
    assert names(tmp_path / 'set') == ['two']
    with pytest.raises(ValueError, match='bad'):
        write('bad')
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if target.name == 'set' and any(path.name == 'three' for path in self.iterdir()):
            raise OSError('no')
        return rename(self, target)

    monkeypatch.setattr(Path, 'rename', failing)
    with pytest.raises(OSError, match='no'):
        write('three')
    assert names(tmp_path) == ['set']
    assert names(tmp_path / 'set') == ['two']


def test_a_result_whose_name_shows_once_it_is_written(tmp_path: Path) -> None:
    with draft_beside(tmp_path / 'model', '.pt') as draft:
        assert draft.suffix == '.pt'
        draft.write_text('x')
        put_in_place(draft, tmp_path / 'model-1a2b3c4d.pt', durable=True)
    with draft_beside(tmp_path / 'model') as draft:
        draft.write_text('refused')
    assert names(tmp_path) == ['model-1a2b3c4d.pt']


def test_names_as_long_as_a_file_system_takes(tmp_path: Path) -> None:
    for name in ('x' * 255, '\N{HIRAGANA LETTER A}' * 85, '\N{GRINNING FACE}' * 63):
        assert write_text(tmp_path / name, 'x').read_text() == 'x'


def test_a_line_torn_by_a_kill_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / 'metrics_history.jsonl'
    append_json_line(path, dict(run='1', iteration=10, metrics=dict(mIoU=1.0)))
    size = path.stat().st_size
    # The system kills a writer whose file grows beyond the limit, here in the middle of a line.
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 20},) * 2)
print('ready', flush=True)
files.append_json_line('metrics_history.jsonl', dict(run='1', iteration=20, metrics=dict(mIoU=2.0)))
"""
    process = start(tmp_path, code)
    assert process.wait() == -signal.SIGXFSZ
    process.stdout.close()
    assert path.stat().st_size == size + 20
    for i in (20, 30):
        append_json_line(path, dict(run='2', iteration=i, metrics=dict(mIoU=i / 10)))
    assert [(one.iteration, one.metrics['mIoU']) for one in read_history(path)] == [(10, 1.0), (20, 2.0), (30, 3.0)]
    assert len(path.read_text().splitlines()) == 4


def test_values_in_strict_json_csv_and_yaml(tmp_path: Path) -> None:
    value = dict(
        a=np.float32(0.81), b=np.float64(0.5), c=[math.nan, math.inf, np.float32('nan')], d=np.arange(3), e=(1, None)
    )
    value |= {'f': torch.tensor([1.5]), 7: np.int64(4), 'g': np.bool_(True), 'h': Path('x'), 'i': '\xe9'}
    found = json.loads(write_json(tmp_path / 'a.json', value).read_text())
    assert found == dict(a=0.81, b=0.5, c=[None] * 3, d=[0, 1, 2], e=[1, None], f=[1.5], g=True, h='x', i='\xe9') | {
        '7': 4
    }
    assert yaml.safe_load(write_yaml(tmp_path / 'a.yml', value).read_text()) == found
    assert list(yaml.safe_load((tmp_path / 'a.yml').read_text())) == list(found)
    write_csv(tmp_path / 'a.csv', ('x', 'y'), [(1, None), (math.nan, 'a,b'), (np.float32(0.1), 2)])
    assert (tmp_path / 'a.csv').read_bytes() == b'x,y\n1,\n,"a,b"\n0.1,2\n'


def test_pictures_of_eight_and_sixteen_bits_and_of_colours(tmp_path: Path) -> None:
    wide = np.array([[0, 300, 65535]], np.uint16)
    write_png(tmp_path / 'x' / 'a.png', wide)
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'x' / 'a.png')), wide)
    write_png(tmp_path / 'b.png', np.array([[[1, 2, 3]]], np.uint8))
    assert Image.open(tmp_path / 'b.png').getpixel((0, 0)) == (1, 2, 3)
    figure = Figure(figsize=(2, 1), dpi=50)
    assert Image.open(write_figure(tmp_path / 'c', figure)).size == (100, 50)


def test_a_line_that_another_process_is_writing_is_not_torn(tmp_path: Path) -> None:
    path = tmp_path / 'a.jsonl'
    with path.open('ab') as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b'{"a": ')
        other.flush()
        waiting = threading.Thread(target=append_json_line, args=(path, dict(b=2)))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        other.write(b'1}\n')
    waiting.join(10)
    assert path.read_text() == '{"a": 1}\n{"b": 2}\n'


def test_no_other_module_renames_or_writes_in_place() -> None:
    package = Path(__file__).parents[1] / 'mmseq'
    # Within a folder that is renamed as a whole.
    allowed = {'datasets/shapes.py', 'datasets/own/writing.py', 'datasets/classes/packing.py'}
    # To the system, and no results: a stale lock, an earlier run, an image that is not kept.
    allowed |= {'measure/timing.py', 'engine/lock.py', 'engine/work_dir.py', 'predict/images.py', 'large/memory.py'}
    alone = re.compile(
        r'os\.(replace|rename)\b|\.rename\(|\b(mkstemp|mkdtemp|NamedTemporaryFile|imwrite)\b'
        r'|\.(write_text|write_bytes|savefig)\(|json\.dump\('
    )
    found = {
        path.relative_to(package).as_posix() for path in package.rglob('*.py') if alone.search(path.read_text('utf-8'))
    }
    assert found == {'files.py', *allowed}


def test_nothing_heavy_is_loaded() -> None:
    code = 'import sys, mmseq.files; print({"numpy", "torch", "cv2", "matplotlib"} & set(sys.modules))'
    found = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert found.stdout == 'set()\n'


def test_paths_of_this_folder_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert from_here(tmp_path / 'a' / 'b.pth') == 'a/b.pth'
    assert from_here('hf://owner/name') == 'hf://owner/name'
    assert from_here(tmp_path.parent / 'c') == str(tmp_path.parent / 'c')
