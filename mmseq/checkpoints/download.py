"""An address to a file: resumed where it broke off, checked, and under its name only when it is whole.

Beside the file ``NAME`` lie ``NAME.part`` (what has come so far), ``NAME.part.json`` (of which version of the file),
``NAME.json`` (address, length and sha256 of what was downloaded) and ``NAME.lock``.
"""

import http.client
import json
import logging
import ssl
import time
import urllib.request
from collections.abc import Sequence
from datetime import datetime, timezone
from http.client import HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError

from filelock import FileLock
from tqdm import tqdm

from mmseq.checkpoints.digest import file_sha256
from mmseq.files import put_in_place, write_json

TIMEOUT = 30
BLOCK = 1 << 20
LONGEST_WAIT = 30
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
    """Follow redirections, but not out of https."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == 'https' and not newurl.startswith('https://'):
            raise DownloadError(f'it is redirected to {newurl}, which is not https')
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(address: str, target: Path, digest: str | None = None, waits: Sequence[float] = (1, 2, 4)) -> None:
    """Download to ``target`` unless it is there; one process does, others that ask at the same time wait for it.

    Args:
        address: of the file. Callers let through what they trust: this function does not ask for https.
        target: where the file shall be, under a name of its own.
        digest: the sha256 it must have, or the first digits of it. Without one, the digest of the first download is
            recorded and every later download to ``target`` must have the same.
        waits: seconds before each further attempt; a new byte starts the row again.

    Raises:
        DownloadError: the file could not be had or is not the expected one; nothing then lies at ``target``.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{target}.lock'):
            if not target.exists():
                _download(address, target, digest, waits)
    except _NETWORK as error:
        raise DownloadError(_reason(error)) from error
    except OSError as error:
        raise DownloadError(f'cannot write there: {error.strerror or error}') from error


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
        write_json(_beside(target, '.json'), dict(address=address, sha256=found, bytes=length, date=date))
    put_in_place(part, target, durable=True)
    _discard(part)


def _collect(address: str, part: Path, certain: bool, waits: Sequence[float]) -> bool:
    """Fill ``part``; returns whether it holds pieces of several answers.

    Args:
        certain: a digest will tell whether the pieces fit, so that they need no proof of their version.
    """
    failures, answers = 0, int(part.exists())
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            answers += 1
            if _attempt(address, part, certain):
                return answers > 1
            error: Exception = http.client.IncompleteRead(b'')
        except _RestartError:
            _discard(part)
            answers = 0
            continue
        except _NETWORK as caught:
            error = caught
            if not _may_pass(error):
                raise
        after = part.stat().st_size if part.exists() else 0
        failures = 1 if after > before else failures + 1
        if failures > len(waits):
            raise error
        wait = max(waits[failures - 1], _asked_wait(error))
        _log.warning('%s: %s; %d bytes are here, going on in %g s', address, _reason(error), after, wait)
        time.sleep(wait)


def _attempt(address: str, part: Path, certain: bool) -> bool:
    """One request for what is missing; returns whether the file is whole now."""
    have = part.stat().st_size if part.exists() else 0
    version = _read_json(_beside(part, '.json')).get('version') if have else None
    if have and not (version or certain):
        raise _RestartError
    request = urllib.request.Request(address, headers={'User-Agent': 'mmseq', 'Accept-Encoding': 'identity'})
    if have:
        request.add_header('Range', f'bytes={have}-')
        if version:
            # A file that was replaced meanwhile comes from its beginning.
            request.add_header('If-Range', version)
    try:
        answer = urllib.request.build_opener(_SameSecurity).open(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if error.headers.get('Content-Range') == f'bytes */{have}':
            # The last attempt ended between the last byte and the renaming.
            return True
        raise _RestartError from error
    with answer:
        if answer.headers.get_content_type() == 'text/html':
            raise DownloadError(_WEB_PAGE)
        return _receive(answer, part, have)


def _receive(answer: Any, part: Path, have: int) -> bool:
    length = answer.headers.get('Content-Length')
    if answer.status == 206:
        if not answer.headers.get('Content-Range', '').startswith(f'bytes {have}-'):
            if not have:
                raise DownloadError('the server answers with a piece of the file that was not asked for')
            raise _RestartError
    else:
        # The whole file, whatever was asked for.
        have = 0
    total = have + int(length) if length else None
    with part.open('ab' if have else 'wb') as file:
        if not have:
            # After the file was emptied: its old beginning must never stand beside the new version.
            write_json(_beside(part, '.json'), dict(version=_version(answer.headers)))
        # disable=None: a bar on a terminal, nothing in a log file.
        with tqdm(desc=part.stem, total=total, initial=have, unit='B', unit_scale=True, disable=None) as bar:
            while block := answer.read(BLOCK):
                file.write(block)
                bar.update(len(block))
        return total is None or file.tell() == total


def _version(headers: HTTPMessage) -> str | None:
    """What tells this version of a file from others, in a form that If-Range takes."""
    tag = headers.get('ETag')
    return tag if tag and not tag.startswith('W/') else headers.get('Last-Modified')


def _may_pass(error: Exception) -> bool:
    """Whether another attempt could succeed."""
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in _PASSING
    return not isinstance(getattr(error, 'reason', error), ssl.SSLCertVerificationError)


def _asked_wait(error: Exception) -> float:
    """Seconds that a busy server asks for, within reason."""
    asked = error.headers.get('Retry-After', '') if isinstance(error, HTTPError) else ''
    return min(float(asked), LONGEST_WAIT) if asked.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    if isinstance(error, HTTPError):
        return f'the server answers {error.code} {error.reason}'
    if isinstance(error, http.client.IncompleteRead):
        return 'the connection broke off'
    return str(getattr(error, 'reason', '') or error) or type(error).__name__


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
