"""Requests that a web page of somebody else makes are refused.

A page that listens at loopback is reached by every browser on the machine. A foreign site can let the browser post to
it (told by ``Origin``), or give its own name the address 127.0.0.1 and then read what it likes (told by ``Host``).
"""

import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Callable[[], Awaitable[Message]], Send], Awaitable[None]]


class OwnAddress:
    """ASGI middleware that lets through what is asked of this machine, by its own pages or by none.

    Args:
        app: what answers.
        host: the name or address that the server was told to listen at.
    """

    def __init__(self, app: App, host: str) -> None:
        self.app = app
        self.names = frozenset(('localhost', host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()))

    async def __call__(self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Send) -> None:
        """Answer, or refuse with status 403."""
        headers = {name: value.decode('latin-1').lower() for name, value in scope.get('headers', [])}
        if scope['type'] not in ('http', 'websocket') or self.is_own(headers.get(b'host', ''), headers.get(b'origin')):
            await self.app(scope, receive, send)
        elif scope['type'] == 'websocket':
            await send({'type': 'websocket.close', 'code': 1008})
        else:
            await send({'type': 'http.response.start', 'status': 403, 'headers': [(b'content-type', b'text/plain')]})
            await send({'type': 'http.response.body', 'body': b'This page answers under its own address alone.\n'})

    def is_own(self, host: str, origin: str | None) -> bool:
        """Whether a request is for this machine, and from its own page if from any."""
        found = re.fullmatch(r'(\[[0-9a-f:.]+\]|[^:/\[\]]+)(:\d+)?', host)
        if not found or origin not in (None, f'http://{host}', f'https://{host}'):
            return False
        name = found[1].strip('[]')
        # No site has a bare address for its name.
        return name in self.names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
