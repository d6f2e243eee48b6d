"""Pascal VOC's metric in threads.

Cause: mmdet's ``eval_map`` forks four processes in the midst of a training and does not wait for their end. A process
with threads, such as torch's and those of loggers, must not be forked: a lock that one of them holds is never released
in the child. Once two children stayed behind, and whoever waited for the end of the run did so for ever.
Could go once mmdet starts its processes anew, or none.
"""

from multiprocessing.pool import ThreadPool
from types import ModuleType

from mmseq.compat.import_hooks import when_imported


def install() -> None:
    """Patch the evaluation when it is imported; nothing is imported here."""
    when_imported('mmdet.evaluation.functional.mean_ap', _patch)


def _patch(module: ModuleType) -> None:
    vars(module)['Pool'] = ThreadPool
