"""Receivers of webhooks: real HTTP servers in threads, that take, refuse, hang or lead elsewhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """``answer``: told how many requests came before, says status and headers. ``got``: what came, in order."""

    def __init__(self, answer: Callable[[int], tuple[int, dict[str, str]]], port: int) -> None:
        self.got: list[dict[str, Any]] = []
        self.forged: list[str] = []
        self._answer, self._lock = answer, threading.Lock()
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers = receiver.take(dict(self.headers.items()), body)
                if status == 0:  # hangs
                    receiver.released.wait(60)
                    status = 200
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"no")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook"

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """As a receiver does: the signature first."""
        named = {name.lower(): value for name, value in headers.items()}
        with self._lock:
            if not verified(named, body):
                self.forged.append(named.get("webhook-id", ""))
            self.got.append(json.loads(body))
            return self._answer(len(self.got) - 1)

    @property
    def ids(self) -> list[str]:
        """The ids of what came."""
        return [event["id"] for event in list(self.got)]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def verified(headers: dict[str, str], body: bytes) -> bool:
    """Checks a signature as docs/events.md shows it, without a line of mdevreg."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [each.partition(",")[2] for each in headers["webhook-signature"].split() if each.startswith("v1,")]
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and any(hmac.compare_digest(expected, each) for each in given)


@contextmanager
def receiving(
    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _: (204, {}), port: int = 0
) -> Iterator[Receiver]:
    """A receiver that runs; ``port`` 0: on any."""
    receiver = Receiver(answer, port)
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
