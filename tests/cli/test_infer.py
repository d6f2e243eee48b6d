"""tools/infer.py from the command line."""

import json
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from mmseq.backbones import Sequencer2D
from mmseq.cli.infer import main
from mmseq.datasets import sources
from mmseq.datasets.shapes import generate
from mmseq.errors import InputError
from mmseq.model.trained import load_trained

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Pictures, and checkpoints of both tasks with weights that were not trained."""
    root = tmp_path_factory.mktemp('infer')
    generate(root / 'shapes', train=1, val=4, seed=0)
    (root / 'pictures').mkdir()
    for path in (root / 'shapes' / 'coco' / 'val2017').iterdir():
        path.rename(root / 'pictures' / path.name)
    for name, config in (('seg', SEGMENTOR), ('det', DETECTOR)):
        torch.manual_seed(0)
        torch.save(dict(state_dict=load_trained(config, None, device='cpu')[1].state_dict()), root / f'{name}.pth')
    return root


def run(folder, task, inputs, out, *options, status=0):
    config, checkpoint = {'seg': SEGMENTOR, 'det': DETECTOR}[task], str(folder / f'{task}.pth')
    arguments = [config, checkpoint, *map(str, inputs), '--out', str(out), '--device', 'cpu', *options]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert main(arguments) == status
    return json.loads((out / 'summary.json').read_text())


def video(path, frames=6, content=None):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 64))
    for seed in range(frames):
        writer.write(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    writer.release()
    if content is not None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * content)])
    return path


def test_a_folder_through_a_segmentor(folder, tmp_path, capsys):
    summary = run(folder, 'seg', [folder / 'pictures'], tmp_path / 'out', '--batch', '3')
    assert (summary['pictures'], summary['failed']) == (4, 0)
    for row in summary['predictions']:
        picture = Image.open(row['file_name'])
        labels = Image.open(tmp_path / 'out' / row['map'])
        assert picture.size == labels.size == Image.open(tmp_path / 'out' / row['overlay']).size
        counts = np.bincount(np.asarray(labels).ravel(), minlength=9) / (labels.width * labels.height)
        for one in row['classes']:
            assert one['share'] == pytest.approx(counts[one['index']])
    out = capsys.readouterr().out
    assert '4 pictures in' in out
    assert f'{row["file_name"]}: {row["classes"][0]["name"]} ' in out
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['maps', 'overlays', 'summary.json']


def test_pictures_through_a_detector(folder, tmp_path):
    pictures = sorted((folder / 'pictures').iterdir())[:2]
    all_of_them = run(folder, 'det', pictures, tmp_path / 'all', '--score-thr', '0')
    coco = COCO(tmp_path / 'all' / 'detections.json')
    assert [image['file_name'] for image in coco.imgs.values()] == list(map(str, pictures))
    scores = [annotation['score'] for annotation in coco.anns.values()]
    assert len(scores) > 4
    for annotation in coco.anns.values():
        size = coco.imgs[annotation['image_id']]
        assert coco.annToMask(annotation).shape == (size['height'], size['width'])
    assert sum(one['count'] for row in all_of_them['predictions'] for one in row['classes']) == len(scores)
    limit = float(np.median(scores))
    run(folder, 'det', pictures, tmp_path / 'some', '--score-thr', str(limit), '--no-overlays')
    kept = json.loads((tmp_path / 'some' / 'detections.json').read_text())['annotations']
    assert len(kept) == sum(score >= limit for score in scores) < len(scores)
    assert not (tmp_path / 'some' / 'overlays').exists()


def test_a_second_run_does_not_read_the_results_of_the_first(folder, tmp_path, capsys):
    (tmp_path / 'a.png').write_bytes(sorted((folder / 'pictures').iterdir())[0].read_bytes())
    summaries = [run(folder, 'seg', [tmp_path], tmp_path / 'out') for _ in range(2)]
    assert [[row['file_name'] for row in one['predictions']] for one in summaries] == [[str(tmp_path / 'a.png')]] * 2
    assert f'2 files are left out: they are results in {tmp_path}/out' in capsys.readouterr().out


def test_what_is_damaged_is_named_and_the_rest_goes_on(folder, tmp_path, capsys):
    inputs = tmp_path / 'in'
    inputs.mkdir()
    good = sorted((folder / 'pictures').iterdir())[0]
    (inputs / 'b.png').write_bytes(good.read_bytes())
    (inputs / 'a.png').write_bytes(good.read_bytes()[:600])
    (inputs / 'c.jpg').write_text('text')
    (inputs / 'd.mp4').write_text('text')
    summary = run(folder, 'seg', [inputs], tmp_path / 'out', '--batch', '2', status=1)
    assert (summary['pictures'], summary['failed']) == (1, 3)
    assert summary['predictions'][0]['file_name'] == str(inputs / 'b.png')
    out, err = capsys.readouterr()
    assert '3 failed' in out
    lines = [line for line in err.splitlines() if line.startswith('failed: ')]
    assert sorted(line.split(': ')[1].rpartition('/')[2] for line in lines) == ['a.png', 'c.jpg', 'd.mp4']


def test_a_video_frame_by_frame(folder, tmp_path):
    path = video(tmp_path / 'clip.avi')
    summary = run(folder, 'seg', [path], tmp_path / 'out', '--batch', '2', '--every', '2')
    assert [row['frame'] for row in summary['predictions']] == [0, 2, 4]
    assert sorted(p.name for p in (tmp_path / 'out' / 'maps' / 'clip').iterdir()) == [
        '000000.png',
        '000002.png',
        '000004.png',
    ]
    capture = cv2.VideoCapture(str(tmp_path / 'out' / 'overlays' / 'clip.mp4'))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    # As fast to look at as it was.
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(5)
    capture.release()
    summary = run(folder, 'seg', [path], tmp_path / 'few', '--max-frames', '2', '--no-overlays', '--no-maps')
    assert summary['pictures'] == 2
    assert [p.name for p in (tmp_path / 'few').iterdir()] == ['summary.json']


def test_a_video_that_ends_early(folder, tmp_path, capsys):
    path = video(tmp_path / 'cut.avi', 20, content=0.5)
    picture = sorted((folder / 'pictures').iterdir())[0]
    summary = run(folder, 'seg', [path, picture], tmp_path / 'out', '--no-maps', status=1)
    assert 'of 20 frames' in summary['failures'][0]['reason']
    assert summary['predictions'][-1]['file_name'] == str(picture)
    assert 5 < summary['pictures'] - 1 < 15


class Camera:
    """Stands for OpenCV's reader: frames without end, until somebody presses Ctrl-C."""

    def __init__(self, *_):
        self.left = 5

    def isOpened(self):
        return True

    def grab(self):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return True

    def retrieve(self):
        return True, np.zeros((64, 96, 3), np.uint8)

    def get(self, _):
        return 0.0

    def release(self):
        pass


def test_a_camera_until_it_is_stopped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sources.cv2, 'VideoCapture', Camera)
    summary = run(folder, 'seg', ['0'], tmp_path / 'out', '--no-maps')
    assert [row['frame'] for row in summary['predictions']] == [0, 1, 2, 3, 4]
    assert (tmp_path / 'out' / 'overlays' / 'camera0.mp4').exists()
    assert run(folder, 'seg', ['0'], tmp_path / 'two', '--no-maps', '--max-frames', '2')['pictures'] == 2


def test_tiles_of_a_segmentor(folder, tmp_path):
    picture = sorted((folder / 'pictures').iterdir())[0]
    summary = run(folder, 'seg', [picture], tmp_path / 'out', '--tiles', '64', '--overlap', '0.5', '--no-overlays')
    assert (summary['tiles'], summary['overlap']) == (64, 0.5)
    found = np.asarray(Image.open(tmp_path / 'out' / summary['predictions'][0]['map']))
    from mmseg.apis import inference_model

    slide = {'model.test_cfg': dict(mode='slide', crop_size=(64, 64), stride=(32, 32))}
    _, model = load_trained(SEGMENTOR, str(folder / 'seg.pth'), options=slide, device='cpu')
    # What upstream's function reads.
    model.cfg.test_pipeline[1].update(scale=None, scale_factor=1.0)
    truth = inference_model(model, str(picture)).pred_sem_seg.data[0].numpy()
    assert (found == truth).mean() > 0.999


@pytest.mark.parametrize(
    'inputs, complaint',
    [
        (['gone.png'], 'no such file or folder'),
        (['--tiles', '16', 'x.png'], 'expected tiles from 32 px'),
        (['--overlap', '0.5', 'x.png'], '--overlap is of --tiles'),
    ],
)
def test_bad_input_is_one_line(folder, tmp_path, monkeypatch, inputs, complaint):
    (tmp_path / 'x.png').write_bytes(b'x')
    with pytest.raises(InputError, match=complaint) as error:
        main([DETECTOR, str(folder / 'det.pth'), *(str(tmp_path / i) if '.png' in i else i for i in inputs)])
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('option', ['--score-thr', '--opacity'])
def test_shares_are_from_0_to_1(option, capsys):
    for value in ('1.5', 'much'):
        with pytest.raises(SystemExit):
            main(['c.py', 'c.pth', 'x.png', option, value])
        assert 'expected a number from 0 to 1' in capsys.readouterr().err


def test_results_go_to_the_work_dir(folder, tmp_path):
    picture = sorted((folder / 'pictures').iterdir())[0]
    assert main([SEGMENTOR, str(folder / 'seg.pth'), str(picture), '--work-dir', str(tmp_path), '--device', 'cpu']) == 0
    assert (tmp_path / 'predictions' / 'summary.json').exists()


@pytest.fixture
def fails_on(monkeypatch):
    """Lets backbones fail on batches for which a function gives an exception."""

    def patch(fault):
        forward = Sequencer2D.forward

        def failing(self, x):
            if (error := fault(x)) is not None:
                raise error
            return forward(self, x)

        monkeypatch.setattr(Sequencer2D, 'forward', failing)

    return patch


FULL = torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8.00 GiB')


@pytest.fixture
def pictures(folder, tmp_path):
    """Three sound pictures and a wide one among them."""
    sound = sorted((folder / 'pictures').iterdir())[:3]
    wide = tmp_path / 'wide.png'
    Image.new('RGB', (512, 128)).save(wide)
    return [sound[0], wide, *sound[1:]]


@pytest.mark.parametrize(
    'error, words',
    [
        (FULL, r'out of GPU memory in inference \(2.00 GiB more were asked for of 8.00 GiB in all\): '),
        (MemoryError(), 'out of main memory in inference'),
        (
            RuntimeError('no kernel for this size\nmore'),
            r'fails \(RuntimeError: no kernel for this size\)$',
        ),
        (IndexError('index 7 is out of bounds'), r'fails \(IndexError: index 7 is out of bounds\)'),
        (cv2.error('resize'), r'fails \(error: resize\)'),
    ],
    ids=['gpu', 'memory', 'kernel', 'index', 'opencv'],
)
@pytest.mark.parametrize('task', ['seg', 'det'])
def test_an_image_that_the_model_fails_on_ends_alone(folder, pictures, tmp_path, fails_on, capsys, task, error, words):
    fails_on(lambda x: error if x.shape[-1] > 2 * x.shape[-2] else None)
    summary = run(folder, task, pictures, tmp_path / 'out', '--batch', '4', '--full-size', status=1)
    assert (summary['pictures'], summary['failed']) == (3, 1)
    assert [row['file_name'] for row in summary['predictions']] == [
        str(path) for path in pictures if path.stem != 'wide'
    ]
    out, err = capsys.readouterr()
    assert re.search(f'^failed: {pictures[1]}: .*{words}', err, re.M)
    assert ', 1 failed' in out


def test_memory_for_one_at_a_time_is_enough(folder, tmp_path, fails_on):
    fails_on(lambda x: FULL if len(x) > 1 else None)
    summary = run(folder, 'seg', [folder / 'pictures'], tmp_path / 'out', '--batch', '4')
    assert (summary['pictures'], summary['failed']) == (4, 0)


def test_a_model_that_fails_on_every_image_ends_in_a_line(folder, pictures, tmp_path, fails_on):
    tried = []
    fails_on(lambda x: tried.append(x) or RuntimeError('weights of another kind'))
    with pytest.raises(
        InputError, match=r'nano_shapes.* fails \(RuntimeError: weights of another kind\); MMSEQ_DEBUG=1'
    ) as caught:
        run(folder, 'seg', pictures, tmp_path / 'out')
    assert '\n' not in str(caught.value)
    # After a few it is plain.
    assert len(tried) == 3
    with pytest.raises(InputError, match='weights of another kind'):
        run(folder, 'seg', pictures[:1], tmp_path / 'one')
    fails_on(lambda x: FULL)
    with pytest.raises(InputError, match='out of GPU memory in inference .*: predict in tiles: '):
        run(folder, 'seg', pictures, tmp_path / 'full')


def test_a_video_that_the_model_fails_on_ends_alone(folder, pictures, tmp_path, fails_on, capsys):
    clip = video(tmp_path / 'clip.avi')
    passes = []
    fails_on(lambda x: passes.append(x) or (RuntimeError('no') if len(passes) == 4 else None))
    summary = run(folder, 'seg', [pictures[0], clip, pictures[2]], tmp_path / 'out', status=1)
    assert (summary['pictures'], summary['failed']) == (4, 1)
    assert [row.get('frame') for row in summary['predictions']] == [None, 0, 1, None]
    assert f'failed: {clip}: frame 2: ' in capsys.readouterr().err
    assert (tmp_path / 'out' / 'overlays' / 'clip.mp4').exists()


def test_real_pictures(folder, tmp_path, real_data):
    pictures = sorted((real_data / 'coco' / 'val2017').iterdir())[:3]
    summary = run(folder, 'det', pictures, tmp_path / 'out', '--score-thr', '0', '--batch', '3')
    assert [row['file_name'] for row in summary['predictions']] == list(map(str, pictures))


def test_the_example_of_the_page(folder, tmp_path, capsys):
    page = (Path(__file__).parents[2] / 'docs' / 'inference.md').read_text()
    code = page.split('```python\n')[1].split('```')[0]
    pictures = sorted((folder / 'pictures').iterdir())
    for name, path in (('epoch_8.pth', folder / 'det.pth'), ('a.png', pictures[0]), ('b.png', pictures[1])):
        assert f"'{name}'" in code
        code = code.replace(f"'{name}'", repr(str(path)))
    names: dict = {}
    exec(code.replace('above(0.5)', 'above(0.0)'), names)
    assert names['overlay'].shape == (*names['prediction'].size, 3)
    assert re.match(r"\['\w+ 0\.\d\d'", capsys.readouterr().out)


@pytest.mark.parametrize('size', [(20000, 2), (2, 20000)])
@pytest.mark.parametrize('task', ['seg', 'det'])
def test_an_odd_picture_is_named_and_the_rest_goes_on(folder, tmp_path, capsys, task, size):
    odd = tmp_path / 'odd.png'
    Image.new('RGB', size).save(odd)
    sound = sorted((folder / 'pictures').iterdir())[:2]
    summary = run(folder, task, [sound[0], odd, sound[1]], tmp_path / 'out', '--batch', '3', status=1)
    assert (summary['pictures'], summary['failed']) == (2, 1)
    assert f'{odd}: its {size[0]} x {size[1]} px cannot be brought to the size' in capsys.readouterr().err


def test_tiles_of_a_detector(folder, tmp_path):
    picture = sorted((folder / 'pictures').iterdir())[0]
    height, width = np.asarray(Image.open(picture)).shape[:2]
    whole = run(folder, 'det', [picture], tmp_path / 'whole', '--full-size', '--score-thr', '0')
    one = run(folder, 'det', [picture], tmp_path / 'one', '--tiles', str(max(height, width)), '--score-thr', '0')
    counts = [[row['count'] for row in summary['predictions'][0]['classes']] for summary in (whole, one)]
    assert counts[0] == counts[1]
    run(folder, 'det', [picture], tmp_path / 'tiles', '--tiles', '64', '--batch', '4', '--score-thr', '0')
    coco = COCO(tmp_path / 'tiles' / 'detections.json')
    assert len(coco.anns) > 4
    for annotation in coco.anns.values():
        assert coco.annToMask(annotation).shape == (height, width)


def test_a_limit_that_was_reached_is_named(folder, tmp_path, capsys):
    picture = sorted((folder / 'pictures').iterdir())[0]
    options = ('--cfg-options', 'model.test_cfg.rcnn.max_per_img=3')
    summary = run(folder, 'det', [picture], tmp_path / 'out', '--score-thr', '0', *options)
    assert summary['predictions'][0]['limit_reached']
    assert '1 of them may have more objects: the model gives no more than model.test_cfg.rcnn.max_per_img=3' in (
        capsys.readouterr().out
    )
    # What was left out had lower scores than asked for.
    summary = run(folder, 'det', [picture], tmp_path / 'none', '--score-thr', '0.999', *options)
    assert 'limit_reached' not in summary['predictions'][0]


def files_of(out):
    return {path.relative_to(out): path.read_bytes() for path in out.rglob('*') if path.is_file()}


def without_times(content):
    content.pop(Path('summary.json'))
    return content


@pytest.mark.parametrize('task', ['seg', 'det'])
def test_a_start_that_was_stopped_is_continued(folder, tmp_path, fails_on, capsys, task):
    pictures = sorted((folder / 'pictures').iterdir())
    clip = video(tmp_path / 'clip.avi')
    given = [pictures[0], clip, *pictures[1:]]
    run(folder, task, given, tmp_path / 'at_once', '--score-thr', '0')
    passes, stopping = [], True

    def watch(x):
        passes.append(x)
        return KeyboardInterrupt() if stopping and len(passes) == 9 else None

    fails_on(watch)
    with pytest.raises(KeyboardInterrupt):
        run(folder, task, given, tmp_path / 'out', '--score-thr', '0', '--workers', '1')
    stopping = False
    passes.clear()
    capsys.readouterr()
    run(folder, task, given, tmp_path / 'out', '--score-thr', '0')
    # One picture and six frames were finished, and another picture or not, as the threads went.
    assert len(passes) in (2, 3)
    assert re.search('(?m)^[23] inputs are finished by an earlier start', capsys.readouterr().out)
    assert without_times(files_of(tmp_path / 'out')) == without_times(files_of(tmp_path / 'at_once'))
    # All is finished: the next start predicts anew.
    run(folder, task, given, tmp_path / 'out', '--score-thr', '0')
    assert len(passes) in (12, 13)


def test_failures_are_tried_again_and_the_rest_is_kept(folder, tmp_path, fails_on):
    pictures = sorted((folder / 'pictures').iterdir())
    (tmp_path / 'in').mkdir()
    for path in pictures[:3]:
        (tmp_path / 'in' / path.name).write_bytes(path.read_bytes())
    torn = tmp_path / 'in' / pictures[1].name
    torn.write_bytes(torn.read_bytes()[:500])
    out = tmp_path / 'out'
    assert run(folder, 'seg', [tmp_path / 'in'], out, status=1)['failed'] == 1
    torn.write_bytes(pictures[1].read_bytes())
    passes = []
    fails_on(lambda x: passes.append(x))
    summary = run(folder, 'seg', [tmp_path / 'in'], out)
    assert (len(passes), summary['pictures'], summary['failed']) == (1, 3, 0)


def test_other_options_and_lost_results_begin_anew(folder, tmp_path, fails_on):
    pictures = sorted((folder / 'pictures').iterdir())[:2]
    (tmp_path / 'torn.png').write_text('text')
    given, out = [*pictures, tmp_path / 'torn.png'], tmp_path / 'out'
    summary = run(folder, 'seg', given, out, status=1)
    passes = []
    fails_on(lambda x: passes.append(x))
    run(folder, 'seg', given, out, status=1)
    assert len(passes) == 0
    (out / summary['predictions'][0]['map']).unlink()
    run(folder, 'seg', given, out, status=1)
    assert len(passes) == 1
    run(folder, 'seg', given, out, '--opacity', '0.4', status=1)
    assert len(passes) == 3
    run(folder, 'seg', given, out, '--opacity', '0.4', '--anew', status=1)
    assert len(passes) == 5
