"""The web page in a browser: real uploads, clicks, refusals, and nothing that goes outside."""

import importlib.util
import socket
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from mmseq.cli.demo_app import build_parser, facts, main
from mmseq.errors import InputError
from mmseq.model.trained import load_trained
from mmseq.predict.page import page as web_page
from mmseq.predict.page.viewer import Limits, Viewer
from mmseq.predict.predictor import Predictor

SEGMENTOR = 'configs/upernet_seq2d_nano_shapes.py'
DETECTOR = 'configs/mask_rcnn_seq2d_nano_shapes.py'
CLEAR = '#upload .icon-button-wrapper button'
needs_gradio = pytest.mark.skipif(not importlib.util.find_spec('gradio'), reason='gradio is not installed (mmseq[app])')


def page_of(config):
    torch.manual_seed(0)
    model = load_trained(config, None, device='cpu')[1]
    viewer = Viewer(Predictor(model, certainty=True), Limits(bytes=2**20, pixels=10**6))
    return web_page.Page(viewer, Path(config).stem, facts(model, 'epoch_1.pth'))


@pytest.fixture(scope='module')
def only_loopback():
    """Every other connection of this process fails, and is remembered."""
    outside, connect = [], socket.socket.connect

    def guarded(self, address):
        if isinstance(address, tuple) and address[0] not in ('127.0.0.1', '::1', 'localhost'):
            outside.append(address)
            raise OSError(f'no network in tests: {address}')
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, 'connect', guarded)
        yield outside


@pytest.fixture(scope='module')
def pages():
    """Of both tasks."""
    pages = dict(seg=page_of(SEGMENTOR), det=page_of(DETECTOR))
    # Of weights that were not trained nothing is sure.
    pages['det'].score.value = 0
    return pages


@pytest.fixture(scope='module')
def addresses(only_loopback, pages):
    yield {task: page.launch('127.0.0.1', None) for task, page in pages.items()}
    for page in pages.values():
        page.blocks.close(verbose=False)
    assert only_loopback == []


@pytest.fixture
def address(request, addresses):
    return addresses[getattr(request, 'param', 'seg')]


@pytest.fixture
def tab(browser, address):
    """An open page; at the end nothing went wrong in it and nothing was fetched from elsewhere."""
    context = browser.new_context(viewport=dict(width=1280, height=900))
    tab, wrong = context.new_page(), []
    tab.on('console', lambda message: wrong.append(message.text) if message.type == 'error' else None)
    tab.on('pageerror', lambda error: wrong.append(str(error)))
    tab.on('request', lambda request: wrong.append(request.url) if elsewhere(request.url, address) else None)
    tab.goto(address)
    tab.wait_for_selector('#upload input[type=file]', state='attached')
    tab.wrong = wrong
    yield tab
    context.close()
    assert wrong == []


def elsewhere(url, address):
    return not url.startswith((address, 'data:', 'blob:'))


@pytest.fixture
def picture(tmp_path):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((160, 120)).save(tmp_path / 'photo.png')
    return str(tmp_path / 'photo.png')


def upload(tab, path):
    tab.set_input_files('#upload input[type=file]', str(path))


@needs_gradio
@pytest.mark.parametrize('address', ['seg', 'det'], indirect=True)
def test_from_an_upload_to_a_receptive_field(tab, picture):
    upload(tab, picture)
    tab.wait_for_selector('.mmseq-legend li')
    assert 'photo.png · 160 × 120 px' in tab.inner_text('#legend')
    shown = tab.wait_for_selector('#overlay img')
    assert shown.evaluate('image => [image.naturalWidth, image.naturalHeight]') == [900, 675]
    box = shown.bounding_box()
    tab.mouse.click(box['x'] + 0.25 * box['width'], box['y'] + 0.75 * box['height'])
    tab.wait_for_selector('.mmseq-sentence')
    assert tab.inner_text('.mmseq-sentence').startswith('Stride 32: half of what')
    tab.wait_for_selector('#field img')
    tab.click('#level label:has-text("stride 4")')
    tab.wait_for_function("document.querySelector('.mmseq-sentence')?.innerText.startsWith('Stride 4: ')")


@needs_gradio
def test_a_second_picture_and_none(tab, picture, tmp_path):
    upload(tab, picture)
    tab.wait_for_selector('.mmseq-legend li')
    tab.click(CLEAR)
    tab.wait_for_function("document.querySelector('#legend').innerText.includes('Drop a picture')")
    Image.open(picture).resize((90, 60)).save(tmp_path / 'other.png')
    upload(tab, tmp_path / 'other.png')
    tab.wait_for_function("document.querySelector('#legend').innerText.includes('other.png · 90 × 60 px')")


@needs_gradio
@pytest.mark.parametrize(
    'name, message',
    [
        ('text.png', 'text.png is no picture that can be read'),
        ('wide.png', 'wide.png has 4.0 million pixels; at most 1'),
    ],
)
def test_refusals_stand_in_the_page(tab, picture, tmp_path, name, message):
    (tmp_path / 'text.png').write_text('text')
    Image.new('RGB', (2000, 2000)).save(tmp_path / 'wide.png')
    upload(tab, tmp_path / name)
    tab.wait_for_selector('#message [role=alert]')
    assert message in tab.inner_text('#message')
    # And it goes on.
    tab.wait_for_selector('#upload input[type=file]', state='attached')
    upload(tab, picture)
    tab.wait_for_selector('.mmseq-legend li')
    assert not tab.is_visible('#message')


@needs_gradio
@pytest.mark.parametrize(
    'name, message', [('heavy.png', 'maximum allowed size of 1.0 Mb: "heavy.png"'), ('notes.txt', 'Invalid file type')]
)
def test_refusals_before_anything_is_sent(tab, tmp_path, name, message):
    (tmp_path / name).write_bytes(bytes(2 * 2**20))
    sent = []
    tab.on('request', lambda request: sent.append(request.url) if request.method == 'POST' else None)
    upload(tab, tmp_path / name)
    tab.wait_for_selector('.toast-body')
    assert message in tab.inner_text('.toast-body')
    assert not any('/upload' in url for url in sent)
    # Gradio asks how far its upload is, of one that never began.
    tab.wrong[:] = [text for text in tab.wrong if '404' not in text and text != 'Response']


@needs_gradio
def test_the_server_refuses_by_itself(address):
    """Whatever a program sends that is no browser."""
    import httpx

    big = httpx.post(f'{address}gradio_api/upload', files=dict(files=('big.png', bytes(2 * 2**20))))
    assert big.status_code == 413
    assert httpx.get(f'{address}gradio_api/file={__file__}').status_code == 403


def ask(address, handler, session, *data, event=None):
    """The last line of the server's answer to what a browser sends when something happens on the page."""
    import httpx

    dependencies = httpx.get(f'{address}config').json()['dependencies']
    number = next(one['id'] for one in dependencies if one['api_name'].startswith(handler))
    call = dict(data=list(data), fn_index=number, session_hash=session, event_data=event)
    assert httpx.post(f'{address}gradio_api/queue/join', json=call).status_code == 200
    with httpx.stream('GET', f'{address}gradio_api/queue/data?session_hash={session}', timeout=60) as answer:
        return next(line for line in answer.iter_lines() if 'process_completed' in line)


def uploaded(address, path):
    """An upload as the page names it."""
    import httpx

    file = (Path(path).name, Path(path).read_bytes())
    (place,) = httpx.post(f'{address}gradio_api/upload', files=dict(files=file)).json()
    return dict(path=place, meta=dict(_type='gradio.FileData'))


@needs_gradio
def test_only_uploads_are_looked_at(address, tmp_path):
    """Not any other file that the server might read."""
    Image.new('RGB', (64, 64)).save(tmp_path / 'secret.png')
    file = dict(path=str(tmp_path / 'secret.png'), meta=dict(_type='gradio.FileData'))
    last = ask(address, 'show_upload', 'thief', file, None, 0.3, 0.5)
    assert '"success":false' in last
    assert 'secret' not in last


@needs_gradio
def test_results_are_bounded_over_all_visitors(pages, address, picture):
    results = pages['seg'].results
    for visitor in range(web_page.SESSIONS + 2):
        last = ask(address, 'show_upload', f'visitor{visitor}', uploaded(address, picture), None, 0.3, 0.5)
        assert 'photo.png' in last
    assert len(results) == web_page.SESSIONS
    last = ask(address, 'draw', 'visitor0', None, 0.3, 0.4)
    assert 'There is no result to show' in last
    assert 'There is no result to show' in ask(address, 'show_field', 'visitor0', None, 0, None)
    # By bytes, too; and who came last still has his.
    results.most_bytes = 3 * next(iter(results._kept.values())).held
    results.fit()
    assert len(results) == 3
    assert 'photo.png' in ask(address, 'draw', f'visitor{visitor}', None, 0.3, 0.4)
    results.most_bytes = web_page.MOST_BYTES


@needs_gradio
def test_a_second_picture_takes_the_place_of_the_first(pages, address, picture):
    before = len(pages['seg'].results)
    for _ in range(3):
        ask(address, 'show_upload', 'one', uploaded(address, picture), None, 0.3, 0.5)
    after = len(pages['seg'].results)
    assert after == min(before + 1, web_page.SESSIONS)
    ask(address, 'show_upload', 'one', None, None, 0.3, 0.5)
    assert len(pages['seg'].results) == after - 1


@needs_gradio
def test_files_are_bounded(only_loopback, picture, monkeypatch):
    monkeypatch.setattr(web_page, 'MOST_FILES', 1)
    page = page_of(SEGMENTOR)
    address = page.launch('127.0.0.1', None)
    first = Path(uploaded(address, picture)['path'])
    assert first.is_file()
    Image.open(picture).rotate(180).save(picture)
    second = Path(uploaded(address, picture)['path'])
    assert second.is_file()
    assert not first.exists()
    page.blocks.close(verbose=False)


@needs_gradio
@pytest.mark.parametrize(
    'place', [[10**400, 0], [-5, 1], ['a', 'b'], [None, None], 'here', [1], [1e300, 0.5], {}], ids=repr
)
def test_clicks_that_no_browser_sends(address, picture, place):
    """The server goes on, and answers in a line."""
    session = 'odd'
    ask(address, 'show_upload', session, uploaded(address, picture), None, 0.3, 0.5)
    last = ask(address, 'handle', session, None, 0, event=dict(index=place, value=None))
    assert 'This is no place in the picture' in last


@needs_gradio
def test_a_log_of_an_earlier_training_stops_nothing(only_loopback, tmp_path):
    MMLogger.get_instance('training', log_file=str(tmp_path / 'training.log'))
    page = page_of(SEGMENTOR)
    page.launch('127.0.0.1', None)
    load_trained(SEGMENTOR, None, device='cpu')
    page.blocks.close(verbose=False)


@needs_gradio
def test_an_address_that_is_taken(only_loopback):
    page = page_of(SEGMENTOR)
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        with pytest.raises(InputError, match='try another --port'):
            page.launch('127.0.0.1', other.getsockname()[1])


def test_without_gradio(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'gradio', None)
    with pytest.raises(InputError, match=r"pip install 'mmseq\[app\]'"):
        main([SEGMENTOR, 'x.pth'])


def test_loopback_by_default():
    assert build_parser().parse_args(['c.py', 'x.pth']).host == '127.0.0.1'


def test_facts_name_the_model():
    model = load_trained(SEGMENTOR, None, device='cpu')[1]
    assert facts(model, 'runs/epoch_1.pth') == ['Sequencer2D', '1.1 M parameters', 'epoch_1.pth', 'cpu']


def test_files_of_many_channels_are_uploaded_as_files():
    options = {
        'model.backbone.in_channels': 6,
        'model.data_preprocessor.mean': None,
        'model.data_preprocessor.std': None,
        'model.data_preprocessor.bgr_to_rgb': False,
        'test_dataloader.dataset.pipeline.0': dict(type='mmseq.LoadMultispectralImage', channels=6),
    }
    gradio = pytest.importorskip('gradio', reason='gradio is not installed (mmseq[app])')
    page = web_page.Page(Viewer(Predictor(load_trained(SEGMENTOR, None, options=options, device='cpu')[1])), 'six', [])
    assert isinstance(page.upload, gradio.File)


@needs_gradio
def test_a_foreign_site_is_refused(addresses):
    address = addresses['seg']
    for headers in ({'Host': 'evil.example'}, {'Origin': 'http://evil.example'}):
        with pytest.raises(HTTPError, match='403'):
            urlopen(Request(f'{address}config', headers=headers))
    assert urlopen(f'{address}config').status == 200
