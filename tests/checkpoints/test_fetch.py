"""What a checkpoint may be called, and what is said when it cannot be had. No network."""

import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub
import pytest
import timm
import torch

from mmseq.backbones import Sequencer2D
from mmseq.checkpoints import download, fetch
from mmseq.checkpoints.fetch import full_timm_name, known_digest, locate, web_cache
from mmseq.errors import InputError

SEQUENCER2D_S = 'https://github.com/okojoalg/sequencer/releases/download/weights/sequencer2d_s.pth'
REVISION = '0123456789' * 4


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Empty caches of torch hub and of the Hugging Face hub."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    monkeypatch.setattr(download.time, 'sleep', lambda seconds: None)
    return tmp_path


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError('the network was asked')

    monkeypatch.setattr(socket.socket, 'connect', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)


def test_local_files(monkeypatch, tmp_path):
    (tmp_path / 'a.pth').write_bytes(b'x')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert locate(tmp_path / 'a.pth') == locate('~/a.pth') == tmp_path / 'a.pth'
    with pytest.raises(
        InputError,
        match=r'b\.pth: no such file; give a local file, a work dir or an address: https://.*timm://NAME or mmseq://NAME',
    ):
        locate(tmp_path / 'b.pth')


@pytest.mark.parametrize('name', ['http://127.0.0.1/w.pth', 'ftp://host/w.pth', 'file:///etc/passwd', 's3://a/b.pth'])
def test_other_schemes_are_refused(name):
    with pytest.raises(InputError, match=r'is not known; give a local file, https://, hf://, timm:// or mmseq://'):
        locate(name)


def test_a_file_put_by_hand_is_taken(cache, no_network):
    (target := web_cache('https://127.0.0.1:1/w.pth')).parent.mkdir(parents=True)
    target.write_bytes(b'x')
    assert locate('https://127.0.0.1:1/w.pth').read_bytes() == b'x'


@pytest.mark.parametrize('name,digest', [('w.pth', r'unknown \(none is published\)'), ('w-0a1b2c3d.pth', '0a1b2c3d')])
def test_a_failed_download_says_what_was_wanted_and_where_to_put_it(cache, name, digest):
    address = f'https://127.0.0.1:1/{name}'
    wanted = rf'File {name}, expected sha256 {digest}, cache {cache}/torch/hub/.*/{name}\. Put the file there'
    with pytest.raises(InputError, match=rf'{address}: .*refused.*\. {wanted}.*init_cfg\.checkpoint=FILE'):
        locate(address)
    assert not web_cache(address).exists()


def test_a_wrong_file_put_by_hand_is_refused(cache):
    target = web_cache('https://127.0.0.1:1/w-0a1b2c3d.pth')
    target.parent.mkdir(parents=True)
    target.write_bytes(b'x')
    with pytest.raises(InputError, match=r'its sha256 is 2d711642.*but 0a1b2c3d is expected: delete it'):
        locate('https://127.0.0.1:1/w-0a1b2c3d.pth')


def test_a_date_in_an_address_is_no_digest(cache):
    address = 'https://127.0.0.1:1/weights-20240101.pth'
    (target := web_cache(address)).parent.mkdir(parents=True)
    target.write_bytes(b'x')
    assert locate(address) == target
    assert known_digest(address) is None
    assert known_digest('https://127.0.0.1:1/weights-48213377.pth') == '48213377'


def test_the_cache_keeps_namesakes_apart(cache):
    folder = cache / 'torch/hub/checkpoints'
    # What another program put into torch hub's folder under that name may be anything.
    assert web_cache(SEQUENCER2D_S).parent.parent == folder
    assert web_cache('https://a/resnet50-0676ba61.pth') == folder / 'resnet50-0676ba61.pth'
    hub = [f'https://huggingface.co/timm/{name}/resolve/main/model.safetensors' for name in 'ab']
    assert len({web_cache(address) for address in hub}) == 2
    assert all(web_cache(address).name == 'model.safetensors' for address in hub)
    for odd in ('https://a/..', 'https://a/%2e%2e%2f..', 'https://a', 'https://a/x?y=/../z'):
        path = web_cache(odd)
        assert path.parent.parent == folder
        assert path.name in ('weights', 'x')


@pytest.mark.parametrize(
    'name',
    [
        'hf://o/n/../../x',
        'hf://o/n@../x',
        'hf://../n/x',
        'hf://o/n/a/./b',
        'hf://o/n//x',
        'hf://o/n/x?token=geheim',
        'https://[geheim/x',
        'https://me:geheim@/x',
        'https://host:geheim/x',
        'https://me:geheim@127.0.0.1:1/x?y=geheim',
        'ftp://me:geheim@host/x',
        'https://host/a b?geheim',
    ],
)
def test_odd_addresses_are_one_line_without_secrets(cache, name):
    with pytest.raises(InputError, match='checkpoint ') as caught:
        locate(name)
    assert '\n' not in str(caught.value)
    assert 'geheim' not in str(caught.value).replace('https://[geheim/x', '').replace('https://host:geheim/x', '')


def test_a_foreign_file_in_torch_hubs_folder_is_not_taken(cache, no_network):
    folder = cache / 'torch/hub/checkpoints'
    folder.mkdir(parents=True)
    (folder / 'sequencer2d_s.pth').write_bytes(b'of another program')
    with pytest.raises((InputError, AssertionError), match='network was asked'):
        locate(SEQUENCER2D_S)


class Redirecting(BaseHTTPRequestHandler):
    def do_GET(self):
        insecure = self.path.startswith('/insecure')
        self.send_response(302 if insecure else 200)
        self.send_header(*(('Location', 'http://127.0.0.1:1/w.pth') if insecure else ('Content-Length', '7')))
        self.end_headers()
        self.wfile.write(b'' if insecure else b'weights')

    def log_message(self, *_):
        pass


@pytest.fixture
def secure_server(cache, monkeypatch):
    """A server with a certificate of its own, which the clients of this test trust."""
    if not shutil.which('openssl'):
        pytest.skip('no openssl command to make a certificate with')
    key, certificate = cache / 'key.pem', cache / 'certificate.pem'
    subprocess.run(
        f'openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost '
        f'-keyout {key} -out {certificate}'.split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(('127.0.0.1', 0), Redirecting)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True).start()
    monkeypatch.setenv('SSL_CERT_FILE', str(certificate))
    yield f'https://localhost:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_https_is_verified_and_never_left(secure_server, monkeypatch):
    assert locate(f'{secure_server}/w.pth').read_bytes() == b'weights'
    with pytest.raises(InputError, match=r'redirected to http://127\.0\.0\.1:1/w\.pth, which is not https'):
        locate(f'{secure_server}/insecure/w.pth')
    monkeypatch.delenv('SSL_CERT_FILE')
    with pytest.raises(InputError, match='CERTIFICATE_VERIFY_FAILED'):
        locate(f'{secure_server}/another.pth')


def into_hub_cache(cache, repo, path, large=True):
    """Lay a file as the hub's client does: a blob by its digest, a snapshot that links to it, a ref that names it."""
    folder = cache / 'hub' / f'models--{repo.replace("/", "--")}'
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for name in ('blobs', 'refs', f'snapshots/{REVISION}'):
        (folder / name).mkdir(parents=True)
    blob = folder / 'blobs' / (digest if large else digest[:40])
    path.rename(blob)
    (folder / 'refs/main').write_text(REVISION)
    (folder / 'snapshots' / REVISION / path.name).symlink_to(f'../../blobs/{blob.name}')
    return blob


def test_timm_from_a_local_hub_cache_equals_timm(cache, no_network, monkeypatch):
    theirs = timm.create_model('sequencer2d_s').eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    timm.models.save_for_hf(theirs, cache / 'saved', safe_serialization=True)
    into_hub_cache(cache, 'timm/sequencer2d_s.in1k', cache / 'saved/model.safetensors')
    images = torch.randn(1, 3, 112, 112)
    ours = Sequencer2D('s', out_indices=(3,), init_cfg=dict(type='Pretrained', checkpoint='timm://sequencer2d_s.in1k'))
    ours.eval().init_weights()
    with torch.no_grad():
        got, expected = ours(images)[0], theirs.forward_features(images).permute(0, 3, 1, 2)
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
    path = locate('timm://sequencer2d_s.in1k')
    assert path == locate('timm://sequencer2d_s') == locate('hf://timm/sequencer2d_s.in1k/model.safetensors')
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    assert path == locate('timm://sequencer2d_s.in1k')


def test_a_file_that_timm_saved(cache, no_network):
    theirs = timm.create_model('sequencer2d_s')
    timm.models.save_for_hf(theirs, cache / 'saved', safe_serialization='both')
    for name in ('model.safetensors', 'pytorch_model.bin'):
        ours = Sequencer2D('s', init_cfg=dict(type='Pretrained', checkpoint=str(cache / 'saved' / name)))
        ours.init_weights()
        assert torch.equal(ours.stem.weight, theirs.stem.proj.weight)


def test_a_damaged_hub_file_is_refused(cache, no_network):
    (cache / 'w.pth').write_bytes(b'weights')
    blob = into_hub_cache(cache, 'a/b', cache / 'w.pth')
    assert locate('hf://a/b/w.pth').read_bytes() == b'weights'
    blob.write_bytes(b'weighty')
    with pytest.raises(InputError, match=rf'w\.pth has sha256 .*, expected {blob.name}: it is damaged or another'):
        locate('hf://a/b/w.pth')


def test_small_hub_files_have_other_names(cache, no_network):
    (cache / 'w.pth').write_bytes(b'weights')
    into_hub_cache(cache, 'a/b', cache / 'w.pth', large=False)
    assert locate(f'hf://a/b@{REVISION}/w.pth').read_bytes() == b'weights'


def test_an_absent_hub_file_says_what_was_wanted_and_where_to_put_it(cache, no_network, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_OFFLINE', True)
    with pytest.raises(InputError) as caught:
        locate('timm://sequencer2d_s.in1k')
    text = str(caught.value)
    assert text.startswith('checkpoint timm://sequencer2d_s.in1k: ')
    assert '(HF_HUB_OFFLINE is set). File model.safetensors or pytorch_model.bin of timm/sequencer2d_s.in1k' in text
    assert 'expected sha256 unknown (none is published)' in text
    assert f'cache {cache}/hub/models--timm--sequencer2d_s.in1k. ' in text
    assert 'init_cfg.checkpoint=FILE' in text
    assert '\n' not in text


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as its client asks for: one repository with one file."""

    def do_HEAD(self):
        self.server.asked.append(self.path)
        found = self.path == '/timm/x.in1k/resolve/main/pytorch_model.bin'
        self.send_response(200 if found else 404)
        self.send_header('X-Repo-Commit', '0' * 40)
        self.send_header('ETag', f'"{hashlib.sha256(b"weights").hexdigest()}"')
        self.send_header('Content-Length', '7' if found else '0')
        if not found:
            self.send_header('X-Error-Code', 'EntryNotFound')
        self.end_headers()

    def do_GET(self):
        self.do_HEAD()
        self.wfile.write(b'weights')

    def log_message(self, *_):
        pass


def test_the_hubs_client_downloads_once_and_tries_both_names(cache, monkeypatch):
    server = HTTPServer(('127.0.0.1', 0), Hub)
    server.asked = []
    threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True).start()
    endpoint = f'http://127.0.0.1:{server.server_port}'
    monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', endpoint)
    template = endpoint + '/{repo_id}/resolve/{revision}/{filename}'
    monkeypatch.setattr(huggingface_hub.constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    try:
        path = locate('timm://x.in1k')
        assert path.read_bytes() == b'weights'
        asked = len(server.asked)
        assert locate('timm://x.in1k') == path
        assert len(server.asked) == asked
        with pytest.raises(InputError, match=r'hf://timm/x\.in1k/other\.bin: .*404.* cache .*models--timm--x\.in1k'):
            locate('hf://timm/x.in1k/other.bin')
    finally:
        server.shutdown()
        server.server_close()


def test_timm_names():
    assert full_timm_name('sequencer2d_m') == 'sequencer2d_m.in1k'
    assert full_timm_name('sequencer2d_m.other') == 'sequencer2d_m.other'
    for name in ('x', '', 'a/b', '../x.y'):
        with pytest.raises(InputError, match=r'expected timm://NAME\.TAG; known are sequencer2d_s\.in1k, '):
            locate(f'timm://{name}')


@pytest.mark.parametrize('name', ['hf://', 'hf://a', 'hf://a/b/', 'hf://a/b@'])
def test_hub_names(name):
    with pytest.raises(InputError, match='expected hf://OWNER/NAME or hf://OWNER/NAME/FILE'):
        locate(name)


def test_a_name_that_the_hub_refuses(cache, no_network):
    with pytest.raises(InputError, match=r'hf://a b/c/w\.pth: Repo id must'):
        locate('hf://a b/c/w.pth')


def test_the_tables_digest_is_compared(cache, monkeypatch):
    row = fetch.find_published(SEQUENCER2D_S)
    known = type(row)(**{**vars(row), 'sha256': 'f' * 64})
    monkeypatch.setattr(fetch, 'find_published', lambda address: known)
    target = web_cache(SEQUENCER2D_S)
    target.parent.mkdir(parents=True)
    target.write_bytes(b'x')
    with pytest.raises(InputError, match=f'expected sha256 {"f" * 64}, cache .*sequencer2d_s.pth'):
        locate(SEQUENCER2D_S)
