"""Downloads against a real server on this machine that does everything that servers do."""

import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat

import pytest
from filelock import FileLock

from mmseq.checkpoints import download as download_module
from mmseq.checkpoints.download import DownloadError, check, download

BODY = random.Random(0).randbytes(300_000)
DIGEST = hashlib.sha256(BODY).hexdigest()
QUICK = (0.0, 0.0)


class Handler(BaseHTTPRequestHandler):
    """What the server does is set on it by the test."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get('Range'))
        time.sleep(server.slowness)
        if server.errors:
            self.send_error(server.errors.pop(0))
            return
        body, start, tag = server.body, 0, f'"{hashlib.md5(server.body).hexdigest()}"'
        asked = self.headers.get('Range')
        same = self.headers.get('If-Range') in (None, tag)
        if asked and server.ranges and same:
            start = int(asked.removeprefix('bytes=').removesuffix('-'))
        if start and start >= len(body):
            self.send_response(416)
            self.send_header('Content-Range', f'bytes */{len(body)}')
            self.send_header('Content-Length', '0')
            self.end_headers()
            return
        # Before a client can go on that closes at the headers.
        end = start + server.cuts.pop(0) if server.cuts else len(body)
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start + server.shift}-{len(body) - 1}/{len(body)}')
        self.send_header('Content-Type', server.kind)
        server.heard.append(self.headers.get('Authorization'))
        length = str(len(body) - start) if server.length == 'right' else server.length
        if length is not None:
            self.send_header('Content-Length', length)
        else:
            self.close_connection = True
        if server.encoding:
            self.send_header('Content-Encoding', server.encoding)
        if server.tags:
            self.send_header('ETag', f'"{len(server.asked)}"' if server.tags == 'new' else tag)
        self.end_headers()
        if server.trickle:
            for byte in body[start:]:
                time.sleep(server.trickle)
                self.wfile.write(bytes([byte]))
        self.wfile.write(body[start:end])
        if end < len(body):
            # As when a line breaks: less than was promised, and no more.
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.asked, server.errors, server.cuts, server.slowness = [], [], [], 0.0
    server.shift, server.length, server.encoding, server.trickle, server.heard = 0, 'right', None, 0.0, []
    server.body, server.kind, server.ranges, server.tags = BODY, 'application/octet-stream', True, True
    server.address = f'http://127.0.0.1:{server.server_port}/w.pth'
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / 'cache' / 'w.pth'


def left(target):
    """The names beside the target, but for the lock."""
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != '.lock')


@pytest.mark.parametrize('digest', [None, DIGEST, DIGEST[:8]])
def test_a_file_comes_whole_and_is_recorded(server, target, digest, caplog):
    with caplog.at_level('INFO', 'mmseq'):
        download(server.address, target, digest)
    assert target.read_bytes() == BODY
    assert left(target) == ['w.pth', 'w.pth.json']
    record = json.loads((target.parent / 'w.pth.json').read_text())
    assert (record['address'], record['sha256'], record['bytes']) == (server.address, DIGEST, len(BODY))
    assert ('no digest is published' in caplog.text) == (digest is None)
    assert check(target, digest) == DIGEST


def test_a_broken_connection_goes_on_where_it_broke(server, target):
    server.cuts = [100_000, 50_000]
    download(server.address, target, None, QUICK)
    assert server.asked == [None, 'bytes=100000-', 'bytes=150000-']
    assert target.read_bytes() == BODY


def test_enough_new_bytes_start_the_attempts_again(server, target, monkeypatch):
    monkeypatch.setattr(download_module, 'ENOUGH', 10_000)
    server.cuts = [10_000] * 6
    download(server.address, target, DIGEST, QUICK)
    assert len(server.asked) == 7
    assert target.read_bytes() == BODY


@pytest.mark.parametrize(
    'change',
    [
        dict(tags=False, cuts=[100_000] * 99),
        dict(tags='new', cuts=[100_000] * 99),
        dict(shift=1, cuts=[100_000] * 99),
        dict(ranges=False, cuts=[100_000] * 99),
        dict(cuts=[1] * 99),
        dict(cuts=[0] * 99),
    ],
    ids=str,
)
def test_what_gets_nowhere_ends(server, target, change):
    vars(server).update(change)
    with pytest.raises(DownloadError, match='broke off|another piece'):
        download(server.address, target, None, QUICK)
    assert len(server.asked) <= 4


def test_an_answer_that_hardly_comes_ends(server, target, monkeypatch):
    monkeypatch.setattr(download_module, 'PATIENCE', 0.1)
    server.trickle = 0.02
    began = time.monotonic()
    with pytest.raises(DownloadError, match='less than 1024 bytes per second'):
        download(server.address, target, None, QUICK)
    assert time.monotonic() - began < 5
    assert len(server.asked) == 3


def raw_server(answers):
    """A server that sends each connection the pieces of the next row, for as long as somebody listens."""
    listening = socket.create_server(('127.0.0.1', 0))

    def serve():
        for pieces in answers:
            connection, _ = listening.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                for piece in pieces:
                    connection.sendall(piece)

    threading.Thread(target=serve, daemon=True).start()
    return listening, f'http://127.0.0.1:{listening.getsockname()[1]}/w.pth'


def slowly(data, seconds=0.02):
    for byte in data:
        time.sleep(seconds)
        yield bytes([byte])


OK = b'HTTP/1.1 200 OK\r\n'
CHUNKED = OK + b'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n'
MOVED = b'HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 3\r\n\r\nabc'


@pytest.mark.parametrize(
    'pieces',
    [
        lambda: slowly(OK * 999),
        lambda: slowly(OK + b'X: y\r\n' * 999),
        lambda: chain([OK], slowly(b'X: ' + b'y' * 9999)),
        lambda: slowly(b'HTTP/1.1 100 Continue\r\n\r\n' * 999),
        lambda: chain([CHUNKED], slowly(b'X: y\r\n' * 999)),
        lambda: chain([OK + b'Transfer-Encoding: chunked\r\n\r\n'], slowly(b'0' * 9999)),
    ],
    ids=['status', 'headers', 'header', 'continue', 'trailers', 'chunk'],
)
def test_headers_that_hardly_come_end(target, monkeypatch, pieces):
    """A socket's timeout begins anew with each byte."""
    monkeypatch.setattr(download_module, 'PATIENCE', 0.1)
    listening, address = raw_server([pieces()])
    began = time.monotonic()
    with listening, pytest.raises(DownloadError, match='less than 1024 bytes per second'):
        download(address, target, DIGEST, ())
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    'pieces',
    [
        lambda: repeat(b'HTTP/1.1 100 Continue\r\n\r\n' * 999),
        lambda: chain([CHUNKED], repeat(b'X: y\r\n' * 999)),
    ],
    ids=['continue', 'trailers'],
)
def test_much_that_is_nothing_of_the_file_ends(target, pieces):
    listening, address = raw_server([pieces()])
    with listening, pytest.raises(DownloadError, match='much, but nothing of the file'):
        download(address, target, DIGEST, ())


def test_what_comes_along_with_a_redirection_is_not_read(target):
    endless = MOVED.replace(b'Content-Length: 3\r\n', b'')
    whole = OK + b'Content-Length: %d\r\n\r\n' % len(BODY) + BODY
    listening, address = raw_server([chain([endless], repeat(b'x' * 4096)), [whole]])
    with listening:
        download(address, target, DIGEST, ())
    assert target.read_bytes() == BODY


def test_redirections_in_a_circle_are_one_line(target):
    listening, address = raw_server([[MOVED]] * 20)
    with listening, pytest.raises(DownloadError, match='answers 302 .* infinite loop') as caught:
        download(address, target, DIGEST, QUICK)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('code', [429, 503])
@pytest.mark.parametrize('asked, waited', [('7', 7.0), ('999999', 30.0), ('Wed, 21 Oct 2015', 0.0), ('-1', 0.0)])
def test_a_busy_server_is_given_the_time_that_it_asks_for(target, monkeypatch, code, asked, waited):
    slept = []
    monkeypatch.setattr(download_module.time, 'sleep', slept.append)
    busy = b'HTTP/1.1 %d Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n' % (code, asked.encode())
    listening, address = raw_server([[busy]] * 3)
    with listening, pytest.raises(DownloadError, match=f'the server answers {code} Busy'):
        download(address, target, DIGEST, QUICK)
    assert slept == [waited] * 2


@pytest.mark.parametrize('length', ['abc', '-1', '1e3', '9' * 30, ''])
def test_impossible_lengths_are_one_line(server, target, length):
    server.length = length
    with pytest.raises(DownloadError, match='impossible length'):
        download(server.address, target, DIGEST, QUICK)
    assert not target.exists()


def test_without_a_length_only_a_digest_tells_that_it_is_whole(server, target):
    server.length = None
    with pytest.raises(DownloadError, match='does not say how long the file is'):
        download(server.address, target, None, QUICK)
    server.cuts = [100_000]
    with pytest.raises(DownloadError, match='another file: sha256 .* of 100000 bytes'):
        download(server.address, target, DIGEST, QUICK)
    download(server.address, target, DIGEST, QUICK)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize('encoding', ['gzip', 'br', 'x-anything'])
def test_packed_answers_are_refused(server, target, encoding):
    server.encoding = encoding
    with pytest.raises(DownloadError, match=f'packs the file ..{encoding}'):
        download(server.address, target, DIGEST, QUICK)


def test_secrets_in_an_address_are_used_and_left_nowhere(server, target, caplog):
    address = server.address.replace('//', '//me:pass%20word@') + '?token=geheim#geheim'
    server.cuts = [100_000]
    with caplog.at_level('INFO', 'mmseq'):
        download(address, target, None, QUICK)
    assert server.heard == ['Basic bWU6cGFzcyB3b3Jk'] * 2
    left_behind = caplog.text + (target.parent / 'w.pth.json').read_text()
    assert 'broke off' in left_behind
    assert not [word for word in ('geheim', 'me:', 'pass', 'token') if word in left_behind]
    server.errors = [404]
    with pytest.raises(DownloadError) as caught:
        download(address, target.with_name('other.pth'), None, QUICK)
    assert 'geheim' not in str(caught.value)


def test_waiting_for_another_process_says_so(server, target, caplog):
    target.parent.mkdir()
    lock = FileLock(f'{target}.lock')
    lock.acquire()
    with caplog.at_level('INFO', 'mmseq'):
        # Another thread, as the lock is one per thread.
        thread = threading.Thread(target=download, args=(server.address, target), daemon=True)
        thread.start()
        time.sleep(0.3)
        lock.release()
        thread.join(20)
    assert 'another process is downloading it; waiting for' in caplog.text
    assert target.read_bytes() == BODY


def test_a_later_process_goes_on_where_an_earlier_one_stopped(server, target):
    server.cuts = [100_000]
    with pytest.raises(DownloadError, match='the connection broke off'):
        download(server.address, target, None, ())
    assert left(target) == ['w.pth.part', 'w.pth.part.json']
    download(server.address, target, None, ())
    assert server.asked == [None, 'bytes=100000-']
    assert target.read_bytes() == BODY


def test_a_process_that_ended_before_the_renaming_costs_nothing(server, target):
    target.parent.mkdir()
    (target.parent / 'w.pth.part').write_bytes(BODY)
    download(server.address, target, DIGEST, ())
    assert server.asked == [f'bytes={len(BODY)}-']
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_starts_again(server, target):
    server.ranges, server.cuts = False, [100_000]
    download(server.address, target, None, QUICK)
    assert server.asked == [None, 'bytes=100000-']
    assert target.read_bytes() == BODY


@pytest.mark.parametrize('tags', [True, False])
def test_a_file_that_was_replaced_meanwhile_is_not_glued(server, target, tags):
    server.cuts, server.tags = [100_000], tags
    with pytest.raises(DownloadError):
        download(server.address, target, None, ())
    server.body = random.Random(1).randbytes(200_000)
    download(server.address, target, None, ())
    assert target.read_bytes() == server.body


def test_pieces_that_do_not_fit_are_fetched_anew(server, target):
    target.parent.mkdir()
    (target.parent / 'w.pth.part').write_bytes(b'x' * 1000)
    server.tags = False
    download(server.address, target, DIGEST, ())
    assert server.asked == ['bytes=1000-', None]
    assert target.read_bytes() == BODY


def test_a_wrong_file_never_gets_the_name(server, target):
    with pytest.raises(DownloadError, match=f'another file: sha256 {DIGEST} of 300000 bytes, not the one expected'):
        download(server.address, target, 'f' * 64, QUICK)
    assert left(target) == []


def test_a_digest_that_was_seen_once_is_compared(server, target):
    download(server.address, target)
    target.unlink()
    server.body = BODY[:-1] + bytes([BODY[-1] ^ 1])
    with pytest.raises(DownloadError, match=r'recorded at the download of 20.*w\.pth\.json'):
        download(server.address, target)
    assert left(target) == ['w.pth.json']
    server.body = BODY
    download(server.address, target)
    target.write_bytes(server.body[:-1])
    with pytest.raises(DownloadError, match=f'{DIGEST} was downloaded on 20.*delete it to download it again'):
        check(target, None)


@pytest.mark.parametrize(
    'kind,page',
    [
        ('text/html; charset=utf-8', b'Sign in first'),
        ('application/octet-stream', b'\n<!DOCTYPE html><title>Sign in</title>'),
    ],
)
def test_a_web_page_is_no_checkpoint(server, target, kind, page):
    server.kind, server.body = kind, page
    with pytest.raises(DownloadError, match='a web page instead of the file'):
        download(server.address, target, None, QUICK)
    assert left(target) == []


@pytest.mark.parametrize('code,times', [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_only_what_may_pass_is_tried_again(server, target, code, times):
    server.errors = [code] * 9
    with pytest.raises(DownloadError, match=f'the server answers {code}'):
        download(server.address, target, None, QUICK)
    assert len(server.asked) == times
    assert left(target) == []


def test_a_busy_server_is_tried_again(server, target):
    server.errors = [503, 503]
    download(server.address, target, None, QUICK)
    assert target.read_bytes() == BODY


def test_a_server_that_is_down(target):
    with pytest.raises(DownloadError, match='refused'):
        download('http://127.0.0.1:1/w.pth', target, None, QUICK)
    assert left(target) == []


def test_a_cache_that_cannot_be_written(server, tmp_path):
    (tmp_path / 'cache').write_text('a file where a folder belongs')
    with pytest.raises(DownloadError, match='cannot write there'):
        download(server.address, tmp_path / 'cache' / 'w.pth')
    assert server.asked == []


def test_processes_that_ask_together_download_once(server, target):
    code = (
        'import sys; from pathlib import Path; from mmseq.checkpoints.download import download; '
        'download(sys.argv[1], Path(sys.argv[2]), sys.argv[3])'
    )
    server.slowness = 1.0
    command = [sys.executable, '-c', code, server.address, str(target), DIGEST]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    said = sorted(process.communicate(timeout=120)[1] for process in processes)
    assert said[0] == b''
    assert said[1].startswith(b'w.pth: another process is downloading it; waiting for')
    assert said[1].count(b'\n') == 1
    assert [process.returncode for process in processes] == [0, 0]
    assert Counter(server.asked) == {None: 1}
    assert target.read_bytes() == BODY
