"""The results that the page keeps, of all its visitors together, in bounded memory."""

import secrets
import threading
from collections import OrderedDict

from mmseq.errors import InputError
from mmseq.predict.page.viewer import UploadResult


class Results:
    """The results of the latest uploads; the oldest go first.

    The latest one is kept whatever its size, since it was made in this memory.

    Args:
        most: how many there are.
        most_bytes: how large they are together.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._kept: OrderedDict[str, UploadResult] = OrderedDict()
        # Old ones are dropped by a thread of the server's.
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """The size of all that is kept."""
        return sum(result.held for result in list(self._kept.values()))

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, result: UploadResult) -> str:
        """Keep a result; returns the key to it, which nobody else can guess."""
        key = secrets.token_urlsafe()
        with self._lock:
            self._kept[key] = result
        self.fit()
        return key

    def fit(self) -> None:
        """Drop the oldest until the rest is small enough; to be called when a result has grown."""
        with self._lock:
            while len(self._kept) > 1 and (len(self._kept) > self.most or self.held > self.most_bytes):
                self._kept.popitem(last=False)

    def drop(self, key: str | None) -> None:
        """Keep the result of a key no longer, if it is there."""
        with self._lock:
            self._kept.pop(key or '', None)

    def find(self, key: str | None) -> UploadResult:
        """The result of a key, which is then the latest.

        Raises:
            InputError: there was none, or it is no longer kept; one line for the page.
        """
        with self._lock:
            if key is not None and key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        raise InputError(
            f'There is no result to show. The latest {self.most} are kept, of up to {self.most_bytes / 2**20:g} MB '
            'together: drop the picture again.'
        )
