"""What a user points at: pictures, folders, patterns, videos, cameras."""

import cv2
import numpy as np
import pytest

from mmseq.datasets.sources import Picture, Unreadable, Video, find, open_video
from mmseq.errors import InputError


def write_video(path, frames, size=(48, 64), codec='MJPG'):
    """Frames of one grey each, ten apart."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, size[::-1])
    for number in range(frames):
        writer.write(np.full((*size, 3), 10 * number, np.uint8))
    writer.release()
    return str(path)


@pytest.fixture
def folder(tmp_path):
    for name in ('b.JPG', 'a.png', 'sub/a.png', 'sub/a.tif', 'notes.txt', '.hidden.png', '.cache/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'x')
    return tmp_path


def test_a_folder_with_all_below_it(folder):
    found = find([str(folder)])
    assert [source.name for source in found] == ['a', 'b', 'sub/a', 'sub/a_2']
    assert found[0] == Picture(str(folder / 'a.png'), 'a')


def test_pictures_of_other_formats_are_not_left_out(tmp_path):
    for name in ('a.gif', 'b.HEIC', 'c.jfif', 'd.svg'):
        (tmp_path / name).write_bytes(b'x')
    found = find([str(tmp_path)])
    assert [type(source) for source in found] == [Picture, Unreadable, Picture]
    assert found[1].reason == f'{tmp_path}/b.HEIC: .heic is not read; convert it to .png or .jpg'
    with pytest.raises(InputError, match=r'\.heic is not read'):
        find([str(tmp_path / 'b.HEIC')])


def test_names_are_unique_over_all_inputs(folder):
    found = find([str(folder / 'a.png'), str(folder / 'sub' / 'a.png'), str(folder / '*.png')])
    assert [source.name for source in found] == ['a', 'a_2', 'a_3']


def test_results_below_the_input_are_left_out(folder, monkeypatch):
    results = [folder / 'sub']
    assert [source.name for source in find([str(folder)], results)] == ['a', 'b']
    pattern = str(folder / '**' / '*.png')
    assert [source.path for source in find([pattern], results)] == [str(folder / 'a.png')]
    monkeypatch.chdir(folder)
    assert [source.path for source in find(['**/*.png'], results)] == ['a.png']
    # who names results means them
    for named in ('sub', 'sub/*', 'sub/a.png'):
        assert {source.name for source in find([str(folder / named)], results)} >= {'a'}


def test_a_pattern_takes_files_alone(folder):
    assert [source.path for source in find([str(folder / '**' / '*.png')])] == [
        str(folder / 'a.png'),
        str(folder / 'sub' / 'a.png'),
    ]


@pytest.mark.parametrize(
    'name, complaint',
    [
        ('gone.png', 'no such file or folder'),
        ('*.webp', 'no file matches this pattern'),
        ('.cache', 'no picture or video'),
        ('bad.mp4', 'cannot be read as a video'),
    ],
)
def test_what_is_not_there(folder, name, complaint):
    (folder / 'bad.mp4').write_bytes(b'no video')
    (folder / '.cache' / 'c.png').unlink()
    with pytest.raises(InputError, match=complaint):
        find([str(folder / name)])


def test_a_camera_that_is_absent(capfd):
    with pytest.raises(InputError, match='camera 99: there is none'):
        find(['99'])
    # OpenCV itself would print several lines.
    assert capfd.readouterr() == ('', '')


def test_a_file_of_digits_is_no_camera(folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / '7').write_bytes(b'x')
    assert find(['7']) == [Picture('7', '7')]


def test_an_unreadable_video_among_others(folder):
    (folder / 'bad.mp4').write_bytes(b'no video')
    (bad,) = [source for source in find([str(folder)]) if isinstance(source, Unreadable)]
    assert bad.name == 'bad'
    assert 'bad.mp4: cannot be read' in bad.reason


def test_frames_of_a_video(tmp_path):
    path = write_video(tmp_path / 'v.avi', 7)
    (video,) = find([path])
    assert video == Video(path, 'v', 7, 10.0)
    frames = list(video.read(every=3))
    assert [number for number, _ in frames] == [0, 3, 6]
    for number, frame in frames:
        assert frame.shape == (48, 64, 3)
        assert abs(frame.astype(int) - 10 * number).max() < 6


def test_frames_are_red_first(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    writer.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    writer.release()
    ((_, frame),) = open_video(str(tmp_path / 'v.avi'), 'v').read()
    assert frame[24, 32, 0] > 200
    assert frame[24, 32, 2] < 50


def test_a_torn_video_gives_what_there_is(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for seed in range(20):
        writer.write(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    content = (tmp_path / 'v.avi').read_bytes()
    (tmp_path / 'v.avi').write_bytes(content[: len(content) // 2])
    video = open_video(str(tmp_path / 'v.avi'), 'v')
    assert video.frames == 20
    assert 5 < len(list(video.read())) < 15


def test_a_torn_video_says_no_word_itself(tmp_path, capfd):
    path = write_video(tmp_path / 'v.avi', 3)
    (tmp_path / 'v.avi').write_bytes((tmp_path / 'v.avi').read_bytes()[:3000])
    with pytest.raises(InputError, match='cannot be read as a video'):
        find([path])
    assert capfd.readouterr() == ('', '')
