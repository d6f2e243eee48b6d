"""The guides are tried word by word: every block is written or run, in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path):
    """A checkout that may be written to; the package and the tests are the originals."""
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ('mmseq', 'tests'):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(command, checkout):
    """Run the commands of a block with this interpreter as `python`."""
    environment = {key: value for key, value in os.environ.items() if key != 'MMSEQ_DATA'}
    environment |= {
        'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(checkout),
        'OMP_NUM_THREADS': '1',
    }
    done = subprocess.run(
        ['bash', '-ec', command],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}'
    return done.stdout


@pytest.mark.parametrize('page', ['new_head.md', 'new_dataset.md'])
def test_guide_works_word_by_word(page, checkout):
    output = ''
    blocks = BLOCK.findall((DOCS / page).read_text())
    assert {language for language, _ in blocks} == {'python', 'bash'}
    for language, text in blocks:
        if language == 'bash':
            output += run(text, checkout)
            continue
        first = text.splitlines()[0]
        path = checkout / first.removeprefix('# ')
        assert path.suffix == '.py', f'{page}: a python block begins with the path it is written to'
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert 'Traceback' not in output
    assert 'parameters that require a gradient got none' not in output
    for metrics in ['mIoU'] if page == 'new_head.md' else ['coco/bbox_mAP', 'coco/segm_mAP', 'mIoU']:
        assert metrics in output


@pytest.mark.parametrize('page', sorted(DOCS.glob('*.md')), ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
        assert '://' in target or (page.parent / target).exists(), f'{page.name}: {target}'


def test_blocks_keep_the_house_style(tmp_path):
    for page in ('new_head.md', 'new_dataset.md'):
        for number, (language, text) in enumerate(BLOCK.findall((DOCS / page).read_text())):
            if language == 'python':
                (tmp_path / f'{page}_{number}.py').write_text(text)
    ruff = [sys.executable, '-m', 'ruff']
    # Imports after `_base_` are mmengine's rule, not ours.
    for command in (['check', '--ignore', 'E402'], ['format', '--check']):
        done = subprocess.run(
            [*ruff, *command, '--config', str(ROOT / 'pyproject.toml'), str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
