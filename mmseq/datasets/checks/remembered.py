"""Checks of large annotation files that passed, remembered: the next start on the same data takes a second.

What a check depends on is its code, its arguments, the content of the annotation file, and which files the folders of
images hold. A folder that gains or loses a file has another time of change; images that are overwritten are not seen.
"""

import hashlib
import json
import mmap
import os
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmseq.datasets.checks.findings import Finding, Report
from mmseq.datasets.checks.shared import Progress
from mmseq.files import write_json

# Checks of smaller files take less than a second.
LARGE = 2**24


def remembered(check: 'partial[Report]', progress: Progress | None = None, **options: Any) -> Report:
    """What a check of a COCO file and its images finds, or found before on the same data.

    Args:
        check: its first two arguments are the annotation file and the folder of images.
        progress: of the check; nothing depends on it.
        options: of the check.
    """
    ann_file, img_dir = check.args[:2]
    if not os.path.isfile(ann_file) or os.path.getsize(ann_file) < LARGE:
        return check(progress=progress, **options)
    state = dict(digest=digest(ann_file), folders=folders(img_dir), code=code())
    path = store(check, options)
    if (report := recall(path, state)) is not None:
        return report
    report = check(progress=progress, **options)
    # The folders as they were before: what changes meanwhile is looked at again.
    if not report.errors():
        keep(path, state, report)
    return report


def store(check: 'partial[Report]', options: dict[str, Any]) -> Path:
    """Where a check is remembered: in ``mmseq/checks`` of the user's cache folder, by its arguments."""
    home = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    arguments = [os.path.realpath(path) for path in check.args[:2]] + [str(check.args[2:]), str(options)]
    name = hashlib.sha256(json.dumps(arguments).encode()).hexdigest()[:16]
    return Path(home, 'mmseq', 'checks', f'{name}.json')


def recall(path: Path, state: dict[str, Any]) -> Report | None:
    """The report that is remembered of data in this state."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    if content.get('state') != state:
        return None
    found = content['report']
    findings = {finding['kind']: Finding(**finding) for finding in found['findings']}
    print_log(f'data check: {found["where"]} is unchanged since it passed at {content["time"]} ({path})', 'current')
    return Report(found['where'], found['images'], found['images_opened'], findings)


def keep(path: Path, state: dict[str, Any], report: Report) -> None:
    """Remember a report; where nothing can be written, the next start checks again."""
    time = datetime.now().astimezone().isoformat(timespec='seconds')
    try:
        write_json(path, dict(time=time, state=state, report=report.record()))
    except OSError as error:
        print_log(f'data check: not remembered, {path.parent} cannot be written ({error.strerror})', 'current')


def digest(path: str) -> str:
    """Of the content of a file that is not empty."""
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()


def folders(root: str) -> dict[str, int]:
    """Times of change, in nanoseconds, of a folder and those in it."""
    return {inner: os.stat(inner).st_mtime_ns for inner, _, _ in os.walk(root)}


@cache
def code() -> str:
    """A digest of the checks themselves."""
    files = sorted(Path(__file__).parent.glob('*.py'))
    return hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()
