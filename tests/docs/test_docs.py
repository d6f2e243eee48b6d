"""The guides and tutorials are tried word by word: every block is written or run, in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from mmseq.cli import check_data, make_shapes
from mmseq.model.trained import load_trained

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
BLOCK = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# What a page's commands must have printed, and the files that they must have left.
GUIDES = {
    'new_head.md': (['mIoU'], []),
    'train_own_data.md': (
        ['coco/bbox_mAP', 'coco/segm_mAP', 'settings follow from the data', 'sound'],
        [f'work_dirs/{name}' for name in ('mine/best_*.pth', 'dino.py', 'mine_small.py', 'again/best_*.pth')],
    ),
    'new_dataset.md': (['coco/bbox_mAP', 'coco/segm_mAP', 'mIoU'], []),
}
RUN = ['metrics.json', 'per_class.csv', 'per_image.csv', 'confusion_matrix.csv', 'curves.png', 'browse_train.png']
TUTORIALS = {
    'tutorial_instances.md': (
        ['coco/bbox_mAP', 'coco/segm_mAP', 'sound'],
        [f'work_dirs/detector/{name}' for name in (*RUN, 'error_analysis.json', 'report.html')]
        + ['predictions/detections.json', 'predictions/overlays/*.png'],
    ),
    'tutorial_segmentation.md': (
        ['mIoU', 'sound'],
        [f'work_dirs/segmentor/{name}' for name in (*RUN, 'report.html')]
        + ['predictions/maps/*.png', 'predictions/overlays/*.png'],
    ),
    'tutorial_weights.md': (
        ['478/478 tensors', 'mIoU', '<All keys matched successfully>'],
        ['soup.pth', 'backbone.pth', 'release/upernet_seq2d_s_shapes-????????.safetensors'],
    ),
}
# The tutorials train for minutes. With these changes of their text, and no others, it is seconds.
SHORTER = {
    'tutorial_instances.md': {
        'make-shapes data/shapes\n': 'make-shapes data/shapes --train 8 --val 4\n',
        '--epochs 8 ': '--epochs 1 ',
    },
    'tutorial_segmentation.md': {
        'make-shapes data/shapes\n': 'make-shapes data/shapes --train 8 --val 4\n',
        '--epochs 24 ': '--epochs 2 ',
    },
    'tutorial_weights.md': {
        # What it compares is compared in tests/cli/test_convert.py.
        'imagenet.safetensors --verify\n```\n\nThe': 'imagenet.safetensors\n```\n\nThe',
        '--train 40 --val 8': '--train 4 --val 2',
        'max_iters=40, val_interval=40': 'max_iters=2, val_interval=2',
        'checkpoint=dict(interval=10': 'checkpoint=dict(interval=1',
        'train finetune.py\n': 'train finetune.py --cfg-options train_dataloader.batch_size=2\n',
        'iter_[234]0': 'iter_[12]',
    },
}


# The scripts of timm.md: the package that each is about, and what it prints.
ELSEWHERE = {
    'classify.py': ('timm', ['torch.Size([2, 10])', '[64, 64, 64] [8, 16, 32]', "'mmseq_shiftvit_t'"]),
    'smp_unet.py': ('segmentation_models_pytorch', ['Unet True']),
    'hf_upernet.py': ('transformers', ['UperNet (2, 9, 96, 128)']),
    'hf_mask2former.py': ('transformers', ['Mask2Former (2, 10, 24, 32)']),
    'plain.py': ('timm', ['loss True']),
    'train_ours.py': ('timm', ["['train.py', '--model', 'mmseq_vil_nano'] True"]),
}
# In the place of timm's training script, which its wheel lacks.
THEIRS = "import sys, timm\nif __name__ == '__main__':\n    print(sys.argv, timm.is_model(sys.argv[-1]))\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout that may be written to; the package and the tests are the originals."""
    for name in ('configs', 'tools'):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ('mmseq', 'tests'):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def commands(tmp_path):
    """A folder with this interpreter as `python`, and the package as the command `mmseq`."""
    folder = tmp_path / 'commands'
    folder.mkdir()
    for name, arguments in (('python', ''), ('mmseq', '-m mmseq')):
        (folder / name).write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def run(command, folder, commands):
    """Run the commands of a block, with `python` and `mmseq` from a folder."""
    environment = {key: value for key, value in os.environ.items() if key != 'MMSEQ_DATA'}
    environment |= {
        'PATH': f'{commands}{os.pathsep}{os.environ["PATH"]}',
        'PYTHONPATH': str(ROOT),
        'OMP_NUM_THREADS': '1',
    }
    done = subprocess.run(
        ['bash', '-ec', command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-3000:]}'
    return done.stdout


def follow(name, text, folder, commands):
    """Write the python blocks of a page to the paths that they begin with, run the bash blocks; returns the output."""
    output = ''
    blocks = [(language, block) for language, block in BLOCK.findall(text) if language != 'text']
    assert {language for language, _ in blocks} <= {'python', 'bash'}
    for language, block in blocks:
        if language == 'bash':
            output += run(block, folder, commands)
            continue
        path = folder / block.splitlines()[0].removeprefix('# ')
        assert path.suffix == '.py', f'{name}: a python block begins with the path it is written to'
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
    assert 'Traceback' not in output
    assert 'parameters that require a gradient got none' not in output
    return output


def check(output, folder, printed, left):
    assert [words for words in printed if words not in output] == []
    assert [name for name in left if not list(folder.glob(name))] == []


@pytest.mark.parametrize('page', GUIDES)
def test_guide_works_word_by_word(page, checkout, nursery):
    check(follow(page, (DOCS / page).read_text(), checkout, nursery.commands), checkout, *GUIDES[page])


@pytest.mark.parametrize('page', TUTORIALS)
def test_tutorial_works_in_short(page, tmp_path, nursery):
    text = (DOCS / page).read_text()
    for words, fewer in SHORTER[page].items():
        assert words in text
        text = text.replace(words, fewer)
    check(follow(page, text, tmp_path, nursery.commands), tmp_path, *TUTORIALS[page])


@pytest.mark.long
@pytest.mark.parametrize('page', TUTORIALS)
def test_tutorial_works_word_by_word(page, tmp_path, commands):
    output = follow(page, (DOCS / page).read_text(), tmp_path, commands)
    printed, left = TUTORIALS[page]
    check(output, tmp_path, printed, left)


@pytest.mark.parametrize('page', ['tutorial_instances.md', 'tutorial_segmentation.md'])
def test_card_of_a_tutorial_takes_the_large_config_that_it_ends_with(page, tmp_path, monkeypatch, nursery):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    (config,) = re.findall(r'^mmseq train (mmseq::\S+) --data data/mine/card\.yaml$', text, re.MULTILINE)
    labels = next(block for language, block in BLOCK.findall(text) if language == 'bash')
    run(
        labels.replace('make-shapes data/shapes\n', 'make-shapes data/shapes --train 2 --val 2\n'),
        tmp_path,
        nursery.commands,
    )
    # Two images of each split do not have all classes, which is a warning; heads and data must fit each other.
    assert check_data.main([config, '--data', 'data/mine/card.yaml']) == 0


@pytest.mark.parametrize('script', ELSEWHERE)
def test_our_models_elsewhere(script, tmp_path, nursery):
    package, printed = ELSEWHERE[script]
    pytest.importorskip(package, reason=f'{package} is not installed')
    blocks = {block.splitlines()[0][2:]: block for _, block in BLOCK.findall((DOCS / 'timm.md').read_text())}
    assert set(blocks) == set(ELSEWHERE)
    (tmp_path / script).write_text(blocks[script])
    (tmp_path / 'train.py').write_text(THEIRS)
    arguments = 'train.py --model mmseq_vil_nano' if script == 'train_ours.py' else ''
    check(run(f'python {script} {arguments}', tmp_path, nursery.commands), tmp_path, printed, [])


PYTHON = ('README.md', 'docs/python.md')
# One of a page's blocks trains for minutes.
SECONDS = {
    "work_dir='work_dirs/first')": """work_dir='work_dirs/first', options={
    'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'train_dataloader.batch_size': 2,
    'default_hooks.checkpoint.interval': 2,
})"""
}


@pytest.fixture(scope='module')
def scene(tmp_path_factory):
    """A folder with generated data, a photograph, and a work dir with a checkpoint."""
    folder = tmp_path_factory.mktemp('python')
    make_shapes.main([str(folder / 'data' / 'shapes'), '--train', '2', '--val', '2'])
    cfg, model = load_trained('mmseq::mask_rcnn_seq2d_nano_shapes', None, device='cpu')
    home = folder / 'work_dirs' / 'run' / '20260101_000000' / 'vis_data'
    home.mkdir(parents=True)
    cfg.dump(home / 'config.py')
    torch.save(dict(state_dict=model.state_dict()), folder / 'work_dirs' / 'run' / 'epoch_1.pth')
    photo = next((folder / 'data' / 'shapes' / 'coco' / 'val2017').iterdir())
    Image.open(photo).convert('RGB').save(folder / 'street.jpg')
    return folder


@pytest.mark.parametrize('page', PYTHON)
def test_python_of_a_page_runs_word_by_word(page, scene, nursery):
    blocks = [block for language, block in BLOCK.findall((ROOT / page).read_text()) if language == 'python']
    assert blocks[0].startswith('import mmseq\n')
    text = '\n'.join(blocks)
    for words, fewer in SECONDS.items():
        text = text.replace(words, fewer)
    (scene / 'script.py').write_text(text)
    output = run('python script.py', scene, nursery.commands)
    assert (scene / 'street_drawn.png').is_file()
    (scene / 'street_drawn.png').unlink()
    assert 'Result(' in output or 'None' in output
    if 'mmseq.train' in text:
        assert "'mIoU'" in output


def test_every_tutorial_is_run():
    assert {path.name for path in DOCS.glob('tutorial_*.md')} == set(TUTORIALS)


def test_blocks_are_formatted(tmp_path):
    for page in (*GUIDES, *TUTORIALS, 'python.md', 'timm.md', '../README.md'):
        for number, (language, text) in enumerate(BLOCK.findall((DOCS / page).read_text())):
            if language == 'python':
                (tmp_path / f'{Path(page).stem}_{number}.py').write_text(text)
    ruff = [sys.executable, '-m', 'ruff']
    # Imports after `_base_` are mmengine's rule, not ours; a script that prints is fine.
    for command in (['check', '--ignore', 'E402,T201'], ['format', '--check']):
        done = subprocess.run(
            [*ruff, *command, '--config', str(ROOT / 'pyproject.toml'), str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout
