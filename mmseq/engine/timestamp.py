"""The time by which a run is told apart from others."""

import time
from pathlib import Path

FORMAT = '%Y%m%d_%H%M%S'
_taken: set[str] = set()


def free_timestamp(timestamp: str, work_dir: str | Path) -> str:
    """The next second in which neither this process nor the work dir has a run.

    mmengine names a run's folder by it, and within a process its logger, scope, message hub and visualizer. Of two runs
    of one second, the later would write into the folder and the log of the earlier one, and count its iterations.

    Args:
        timestamp: as mmengine writes it, such as 20260101_235959.
        work_dir: of the run.
    """
    moment = time.mktime(time.strptime(timestamp, FORMAT))
    while timestamp in _taken or (Path(work_dir) / timestamp).exists():
        moment += 1
        timestamp = time.strftime(FORMAT, time.localtime(moment))
    _taken.add(timestamp)
    return timestamp
