"""A foreign site reaches nothing of the page, by whatever name and from whatever origin."""

import asyncio

import pytest

from mmseq.predict.page.own_address import OwnAddress


def status(host: str, origin: str | None = None, kind: str = 'http') -> int:
    sent = []

    async def app(scope, receive, send):
        await send({'status': 200})

    async def send(message):
        sent.append(message)

    headers = [(b'host', host.encode())] + ([(b'origin', origin.encode())] if origin else [])
    asyncio.run(OwnAddress(app, '127.0.0.1')({'type': kind, 'headers': headers}, None, send))
    return sent[0].get('status') or sent[0]['code']


@pytest.mark.parametrize('host', ['127.0.0.1:7860', 'localhost:7860', 'LOCALHOST', '[::1]:7860', '192.168.0.2:80'])
def test_own_pages_are_answered(host):
    assert status(host) == status(host, f'http://{host}') == status(host, kind='websocket') == 200


@pytest.mark.parametrize(
    'host,origin',
    [
        ('evil.example', None),
        ('evil.example:7860', 'http://evil.example:7860'),
        ('127.0.0.1.evil.example', None),
        ('localhost.evil.example:7860', None),
        ('127.0.0.1:7860', 'http://evil.example'),
        ('127.0.0.1:7860', 'null'),
        ('127.0.0.1:7860', 'http://127.0.0.1:8000'),
        ('127.0.0.1:7860', 'http://127.0.0.1:7860.evil.example'),
        ('evil.example@127.0.0.1', None),
        ('', None),
    ],
)
def test_foreign_ones_are_not(host, origin):
    assert status(host, origin) == 403
    assert status(host, origin, 'websocket') == 1008
