"""The files of the web page, uploads and drawn pictures, stay below a number of bytes together."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from mmseq.predict.page.own_address import App, Message, Send


class BoundedFiles:
    """ASGI middleware that deletes the oldest files before more may come; gradio deletes by age alone.

    Args:
        app: what answers.
        sets: of the paths that the page has written, which gradio adds to.
        most: bytes that stay.
    """

    def __init__(self, app: App, sets: Sequence[set[str]], most: int) -> None:
        self.app, self.sets, self.most = app, sets, most

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer, after making space if something is sent here."""
        if scope.get('method') == 'POST':
            delete_oldest(self.sets, self.most)
        await self.app(scope, receive, send)


def delete_oldest(sets: Sequence[set[str]], most: int) -> None:
    """Delete the oldest files of some sets of paths until the rest has at most so many bytes."""
    paths = {Path(name) for names in sets for name in list(names)}
    found = sorted(((path.stat().st_ctime, path) for path in paths if path.is_file()), reverse=True)
    total = 0
    for _, path in found:
        total += path.stat().st_size
        if total > most:
            path.unlink(missing_ok=True)
