"""Somebody who wants to know how captures end: a real HTTP server that checks the signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

SECRET = "the secret of the flow tests"


class NewsReceiver:
    """Listens on a free loopback port. The first try of each news is refused, to see it come again."""

    def __init__(self) -> None:
        self.news: dict[str, dict[str, Any]] = {}
        self.refused: set[str] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(receiver.take(dict(self.headers.items()), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def take(self, headers: dict[str, str], body: bytes) -> int:
        given = {name.lower(): value for name, value in headers.items()}
        key, stamp = given["webhook-id"], given["webhook-timestamp"]
        said = b".".join((key.encode(), stamp.encode(), body))
        expected = base64.b64encode(hmac.new(SECRET.encode(), said, hashlib.sha256).digest()).decode()
        if given["webhook-signature"] != f"v1,{expected}":
            return 401
        if key not in self.refused:
            self.refused.add(key)
            return 503
        self.news[key] = json.loads(body)
        return 204

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
