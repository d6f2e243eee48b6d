"""An address to a file: resumed where it broke off, checked, and under its name only when it is whole.

Beside the file ``NAME`` lie ``NAME.part`` (what has come so far), ``NAME.part.json`` (of which version of the file),
``NAME.json`` (address, length and sha256 of what was downloaded) and ``NAME.lock``.
"""

import http.client
import io
import json
import logging
import re
import ssl
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote

from filelock import FileLock, Timeout
from tqdm import tqdm

from mmseq.addresses import public
from mmseq.checkpoints.digest import file_sha256
from mmseq.errors import first_line
from mmseq.files import put_in_place, write_json

TIMEOUT = 30
BLOCK = 1 << 20
LONGEST_WAIT = 30
# New bytes after which the attempts are counted anew.
ENOUGH = 1 << 20
# Seconds of waiting after which an answer has to have brought so many bytes per second, headers included.
PATIENCE = 60.0
LEAST_RATE = 1 << 10
# Bytes that may come with none of the file among them: http.client takes any number of provisional answers.
MOST_IDLE = 2 * BLOCK
# More than any file of weights: an answer may have no end.
LARGEST = 1 << 37
# Request Timeout, Too Early, Too Many Requests: the same request may succeed later.
_PASSING = frozenset({408, 425, 429})
_NETWORK = (URLError, http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)
_WEB_PAGE = 'the server answers with a web page instead of the file'
_log = logging.getLogger('mmseq')


class DownloadError(Exception):
    """No file could be had; the text says why, without its address."""


class _RestartError(Exception):
    """What was kept of an earlier attempt does not belong to what the server has now."""


class _SameSecurity(urllib.request.HTTPRedirectHandler):
    """Follow redirections, but not out of https, and whatever is sent along with them."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        # urllib would read it all into the memory.
        fp.close()
        if req.type == 'https' and not newurl.startswith('https://'):
            raise DownloadError(f'it is redirected to {public(newurl)}, which is not https')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _TimelyBytes(io.RawIOBase):
    """What a server sends, for as long as it comes at the least rate.

    A socket's own timeout begins anew with each byte.

    Attributes:
        idle: bytes that have come since the last ones of the file.
    """

    def __init__(self, source: io.RawIOBase) -> None:
        self.source, self.idle = source, 0
        self._waited, self._came = 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        began = time.monotonic()
        count = self.source.readinto(buffer)
        self._waited += time.monotonic() - began
        self._came += count or 0
        self.idle += count or 0
        if self.idle > MOST_IDLE:
            raise http.client.HTTPException('the server sends much, but nothing of the file')
        if self._waited > PATIENCE:
            if self._came < LEAST_RATE * self._waited:
                raise TimeoutError(f'the server sends less than {LEAST_RATE} bytes per second')
            self._waited, self._came = 0.0, 0
        return count

    def close(self) -> None:
        self.source.close()
        super().close()


class _TimelyAnswer(http.client.HTTPResponse):
    """An answer whose headers and body come in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bytes = _TimelyBytes(self.fp.detach())
        self.fp = io.BufferedReader(self._bytes)

    def read1(self, n: int = -1) -> bytes:
        """What is there of the file, of up to so many bytes."""
        block = super().read1(n)
        self._bytes.idle = 0
        return block


class _Timely(urllib.request.AbstractHTTPHandler):
    """Connections of urllib's whose answers come in time."""

    def do_open(self, http_class: Any, req: urllib.request.Request, **options: Any) -> http.client.HTTPResponse:
        def connect(host: str, **how: Any) -> http.client.HTTPConnection:
            connection = http_class(host, **how)
            connection.response_class = _TimelyAnswer
            return connection

        return super().do_open(connect, req, **options)


class _TimelyHTTP(_Timely, urllib.request.HTTPHandler):
    pass


class _TimelyHTTPS(_Timely, urllib.request.HTTPSHandler):
    pass


def download(address: str, target: Path, digest: str | None = None, waits: Sequence[float] = (1, 2, 4)) -> None:
    """Download to ``target`` unless it is there; one process does, others that ask at the same time wait for it.

    Args:
        address: of the file. Callers let through what they trust: this function does not ask for https.
        target: where the file shall be, under a name of its own.
        digest: the sha256 it must have, or the first digits of it. Without one, the digest of the first download is
            recorded and every later download to ``target`` must have the same.
        waits: seconds before each further attempt; a mebibyte that has not come before starts the row again.

    Raises:
        DownloadError: the file could not be had or is not the expected one; nothing then lies at ``target``.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not target.exists():
                _download(address, target, digest, waits)
    except _NETWORK as error:
        raise DownloadError(_reason(error)) from error
    except ValueError as error:
        # What http.client finds wrong with an address or an answer, with all of it in its text.
        raise DownloadError(f'the address or the answer is malformed ({type(error).__name__})') from None
    except OSError as error:
        raise DownloadError(f'cannot write there: {error.strerror or error}') from error


def fetch_bytes(address: str, largest: int) -> bytearray:
    """What is at an address, in memory; in one attempt, and not out of https once in it.

    Args:
        address: as in :func:`download`.
        largest: bytes that are taken at most.

    Raises:
        DownloadError: it could not be had, or is larger.
    """
    try:
        with _open(_request(address)) as answer:
            if answer.headers.get_content_type() == 'text/html':
                raise DownloadError(_WEB_PAGE)
            found = bytearray()
            while block := answer.read1(BLOCK):
                found += block
                if len(found) > largest:
                    raise DownloadError(f'the server sends more than {largest} bytes')
    except (*_NETWORK, OSError) as error:
        raise DownloadError(_reason(error)) from error
    except ValueError as error:
        raise DownloadError(f'the address or the answer is malformed ({type(error).__name__})') from None
    return found


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file, and say so."""
    lock = FileLock(f'{target}.lock')
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.warning('%s: another process is downloading it; waiting for %s', target.name, lock.lock_file)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check(target: Path, digest: str | None) -> str:
    """The sha256 of a downloaded file, after comparing it.

    Args:
        target: the file.
        digest: what it must be or begin with; without one the digest recorded at the download counts.

    Raises:
        DownloadError: the file has another one, or cannot be read.
    """
    record = _read_json(_beside(target, '.json'))
    try:
        found = file_sha256(target)
    except OSError as error:
        raise DownloadError(f'cannot read it: {error.strerror or error}') from error
    expected = digest or record.get('sha256', '')
    if not found.startswith(expected):
        why = 'is expected' if digest else f'was downloaded on {record.get("date")}'
        raise DownloadError(f'its sha256 is {found}, but {expected} {why}: delete it to download it again')
    return found


def recorded_digest(target: Path) -> str | None:
    """The sha256 that was seen when ``target`` was first downloaded, even if the file is gone."""
    return _read_json(_beside(target, '.json')).get('sha256')


def _download(address: str, target: Path, digest: str | None, waits: Sequence[float]) -> None:
    part, record = _beside(target, '.part'), _read_json(_beside(target, '.json'))
    resumed = _collect(address, part, digest is not None, waits)
    found = file_sha256(part)
    if digest and resumed and not found.startswith(digest):
        # The pieces may be of two versions of the file.
        _discard(part)
        _collect(address, part, True, waits)
        found = file_sha256(part)
    expected = digest or record.get('sha256', '')
    length = part.stat().st_size
    with part.open('rb') as file:
        if file.read(64).lstrip().lower().startswith((b'<!doctype', b'<html')):
            _discard(part)
            raise DownloadError(_WEB_PAGE)
    if not found.startswith(expected):
        _discard(part)
        source = 'expected' if digest else f'recorded at the download of {record.get("date")}, in {target}.json'
        raise DownloadError(f'the server has another file: sha256 {found} of {length} bytes, not the one {source}')
    if not expected:
        _log.info('%s: no digest is published; sha256 %s is recorded and compared from now on', target.name, found)
    if record.get('sha256') != found:
        date = datetime.now(timezone.utc).isoformat(timespec='seconds')
        write_json(_beside(target, '.json'), dict(address=public(address), sha256=found, bytes=length, date=date))
    put_in_place(part, target, durable=True)
    _discard(part)


def _collect(address: str, part: Path, certain: bool, waits: Sequence[float]) -> bool:
    """Fill ``part``; returns whether it holds pieces of several answers.

    Args:
        certain: a digest will tell whether the pieces fit, so that they need no proof of their version.
    """
    failures, answers, furthest = 0, int(part.exists()), _length(part)
    while True:
        try:
            answers += 1
            if _attempt(address, part, certain):
                return answers > 1
            error: Exception = http.client.IncompleteRead(b'')
        except _RestartError as caught:
            error = caught
            _discard(part)
            answers = 0
        except _NETWORK as caught:
            error = caught
            if not _may_pass(error):
                raise
        here = _length(part)
        failures += 1
        if here >= furthest + ENOUGH:
            failures, furthest = 1, here
        if failures > len(waits):
            raise DownloadError(_reason(error)) if isinstance(error, _RestartError) else error
        wait = max(waits[failures - 1], _asked_wait(error))
        _log.warning('%s: %s; %d bytes are here, going on in %g s', public(address), _reason(error), here, wait)
        time.sleep(wait)


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _attempt(address: str, part: Path, certain: bool) -> bool:
    """One request for the missing bytes; returns whether the file is complete now."""
    have = _length(part)
    version = _read_json(_beside(part, '.json')).get('version') if have else None
    if have and not (version or certain):
        # It cannot be told whether the rest belongs to it.
        _discard(part)
        have = 0
    request = _request(address)
    if have:
        request.add_header('Range', f'bytes={have}-')
        if version:
            # A file that was replaced meanwhile comes from its beginning.
            request.add_header('If-Range', version)
    try:
        answer = _open(request)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if error.headers.get('Content-Range') == f'bytes */{have}':
            # The last attempt ended between the last byte and the renaming.
            return True
        raise _RestartError('the server has no such rest of the file') from error
    with answer:
        if answer.headers.get_content_type() == 'text/html':
            raise DownloadError(_WEB_PAGE)
        return _receive(answer, part, have, certain)


def _request(address: str) -> urllib.request.Request:
    """For a whole file, unpacked."""
    address, credentials = _apart(address)
    request = urllib.request.Request(address, headers={'User-Agent': 'mmseq', 'Accept-Encoding': 'identity'})
    if credentials:
        # For this server alone, and for none that it redirects to.
        request.add_unredirected_header('Authorization', f'Basic {b64encode(credentials.encode()).decode()}')
    return request


def _open(request: urllib.request.Request) -> Any:
    """The answer to a request, which comes in time and never leaves https."""
    return urllib.request.build_opener(_SameSecurity, _TimelyHTTP, _TimelyHTTPS).open(request, timeout=TIMEOUT)


def _apart(address: str) -> tuple[str, str]:
    """An address without user and password, and these two as urllib does not take them from it."""
    scheme, _, rest = address.partition('://')
    place = re.split(r'[/?#]', rest, maxsplit=1)[0]
    credentials, _, host = place.rpartition('@')
    return f'{scheme}://{host}{rest[len(place) :]}', unquote(credentials)


def _receive(answer: Any, part: Path, have: int, certain: bool) -> bool:
    """Append an answer; returns whether the file is whole now."""
    encoding = answer.headers.get('Content-Encoding', 'identity').strip().lower()
    if encoding not in ('', 'identity'):
        raise DownloadError(f'the server packs the file ({encoding[:40]!r}) though asked not to')
    length = _promised(answer.headers)
    if answer.status == 206:
        if not answer.headers.get('Content-Range', '').startswith(f'bytes {have}-'):
            if not have:
                raise DownloadError('the server answers with a piece of the file that was not asked for')
            raise _RestartError('the server answers with another piece of the file')
    else:
        # The whole file, whatever was asked for.
        have = 0
    if length is None and not answer.chunked and not certain:
        raise DownloadError('the server does not say how long the file is, so that a cut could not be told')
    total = have + length if length is not None else None
    with part.open('ab' if have else 'wb') as file:
        if not have:
            # After the file was emptied: its old beginning must never stand beside the new version.
            write_json(_beside(part, '.json'), dict(version=_version(answer.headers)))
        # disable=None: a bar on a terminal, nothing in a log file.
        with tqdm(desc=part.stem, total=total, initial=have, unit='B', unit_scale=True, disable=None) as bar:
            # At once whatever is there: read would wait for a whole block.
            while block := answer.read1(BLOCK):
                file.write(block)
                bar.update(len(block))
                if file.tell() > LARGEST:
                    raise DownloadError(f'the server sends more than {LARGEST} bytes')
        return total is None or file.tell() == total


def _promised(headers: HTTPMessage) -> int | None:
    """The length that an answer promises."""
    text = headers.get('Content-Length')
    if text is None:
        return None
    if not re.fullmatch(r'[0-9]{1,15}', text.strip()):
        raise DownloadError(f'the server says an impossible length: {text[:40]!r}')
    return int(text)


def _version(headers: HTTPMessage) -> str | None:
    """What tells this version of a file from others, in a form that If-Range takes."""
    tag = headers.get('ETag')
    return tag if tag and not tag.startswith('W/') else headers.get('Last-Modified')


def _may_pass(error: Exception) -> bool:
    """Whether another attempt could succeed."""
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in _PASSING
    if isinstance(error, http.client.InvalidURL):
        return False
    return not isinstance(getattr(error, 'reason', error), ssl.SSLCertVerificationError)


def _asked_wait(error: Exception) -> float:
    """Seconds that a busy server asks for, within reason."""
    asked = error.headers.get('Retry-After', '') if isinstance(error, HTTPError) else ''
    return min(float(asked), LONGEST_WAIT) if asked.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    if isinstance(error, HTTPError):
        # urllib's word on redirections has three lines.
        return f'the server answers {error.code} {first_line(ValueError(error.reason))}'
    if isinstance(error, http.client.InvalidURL):
        # Its text has what may be secret in the address.
        return 'the address is malformed'
    if isinstance(error, http.client.IncompleteRead):
        return 'the connection broke off'
    reason = getattr(error, 'reason', None) or error
    return first_line(reason if isinstance(reason, BaseException) else ValueError(reason))


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part, '.json').unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    """What a file beside a download holds; nothing if it is absent or was damaged."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
