"""A server that speaks as much of the Hugging Face hub's protocol as publishing and loading a model takes."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = 'hf_' + 'secret0' * 4
COMMIT = 'ab' * 20


class Hub:
    """Repositories in memory, at ``address``; ``files[repo][path]`` are bytes.

    Attributes:
        requests: method and path of each request.
        blobs: what was uploaded as large files, by sha256.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.blobs: dict[str, bytes] = {}
        self.large: dict[str, set[str]] = {}
        self.requests: list[tuple[str, str]] = []
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), type('Handler', (_Handler,), {'hub': self}))
        self.address = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self, value: Any = None, status: int = 200, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for key, text in {'Content-Length': str(len(body)), **headers}.items():
            self.send_header(key.replace('_', '-'), text)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get('Content-Length') or 0))

    def handle_any(self) -> None:
        body, path = self.body(), self.path.partition('?')[0]
        self.hub.requests.append((self.command, path))
        if self.command == 'POST' and self.headers.get('Authorization') != f'Bearer {TOKEN}':
            self.answer(dict(error='Invalid credentials'), 401)
            return
        if path == '/api/repos/create':
            self.create(json.loads(body))
        elif path == '/api/validate-yaml':
            self.answer(dict(errors=[], warnings=[]))
        elif '/preupload/' in path:
            files = [
                dict(path=one['path'], shouldIgnore=False, uploadMode='lfs' if one['path'].endswith('s') else 'regular')
                for one in json.loads(body)['files']
            ]
            self.answer(dict(files=files))
        elif path.endswith('/info/lfs/objects/batch'):
            self.batch(json.loads(body))
        elif path.startswith('/blob/'):
            name = path.removeprefix('/blob/')
            assert hashlib.sha256(body).hexdigest() == name
            self.hub.blobs[name] = body
            self.answer()
        elif '/commit/' in path:
            self.commit(path.split('/api/models/')[1].partition('/commit/')[0], body)
        elif '/resolve/' in path:
            self.resolve(path)
        elif path.removeprefix('/api/models/') in self.hub.files:
            self.answer(dict(id=path.removeprefix('/api/models/'), sha=COMMIT, siblings=[]))
        else:
            self.answer(dict(error='absent'), 404, X_Error_Code='RepoNotFound')

    do_GET = do_POST = do_PUT = do_HEAD = handle_any

    def create(self, wanted: dict[str, Any]) -> None:
        repo = f'{wanted.get("organization") or "me"}/{wanted["name"]}'
        if repo in self.hub.files:
            self.answer(dict(error='exists', url=f'{self.hub.address}/{repo}'), 409)
            return
        self.hub.files[repo] = {}
        # As newer and as older versions of the hub's package ask for it.
        self.hub.private[repo] = wanted.get('visibility') == 'private' or bool(wanted.get('private'))
        self.hub.large[repo] = set()
        self.answer(dict(url=f'{self.hub.address}/{repo}'))

    def batch(self, wanted: dict[str, Any]) -> None:
        objects = [
            dict(one, actions=dict(upload=dict(href=f'{self.hub.address}/blob/{one["oid"]}')))
            for one in wanted['objects']
        ]
        self.answer(dict(transfer='basic', objects=objects))

    def commit(self, repo: str, body: bytes) -> None:
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry['value']
            if entry['key'] == 'file':
                self.hub.files[repo][value['path']] = base64.b64decode(value['content'])
            elif entry['key'] == 'lfsFile':
                self.hub.files[repo][value['path']] = self.hub.blobs[value['oid']]
                self.hub.large[repo].add(value['path'])
        url = f'{self.hub.address}/{repo}/commit/{COMMIT}'
        self.answer(dict(commitUrl=url, commitOid=COMMIT, pullRequestUrl=None, success=True))

    def resolve(self, path: str) -> None:
        repo, _, rest = path.strip('/').partition('/resolve/')
        name = rest.partition('/')[2]
        content = self.hub.files.get(repo, {}).get(name)
        if content is None:
            self.answer(dict(error='absent'), 404, X_Error_Code='EntryNotFound', X_Repo_Commit=COMMIT)
            return
        digest = hashlib.sha256(content).hexdigest()
        tag = digest if name in self.hub.large[repo] else digest[:40]
        self.answer(content, ETag=f'"{tag}"', X_Linked_Etag=f'"{tag}"', X_Repo_Commit=COMMIT)
