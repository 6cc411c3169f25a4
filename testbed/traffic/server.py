"""A small HTTP server that tells whom it sees asking, so that a translation can be read off an answer.

Run as a program with listening sockets as inherited descriptors (`server.py NAME=FD ...`). It goes on until its
standard input is closed, and for good once it reads `stay` there. It imports nothing of the testbed, to start fast.
"""

from __future__ import annotations

import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def written(address: Any) -> str:
    """An address and a port, of either version of IP."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Greeter(BaseHTTPRequestHandler):
    """Answers every GET with one line: who is speaking, and whom it sees."""

    name = "?"

    def do_GET(self) -> None:
        own, other = written(self.connection.getsockname()), written(self.client_address)
        body = f"{self.name} {own} answers {other}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads a log here."""


def serve(name: str, descriptor: int) -> None:
    """Serve on a socket that listens already."""
    handler = type("Named", (Greeter,), {"name": name})
    server = ThreadingHTTPServer(("", 0), handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=descriptor)
    server.serve_forever()


def main(arguments: list[str]) -> None:
    for argument in arguments:
        name, _, descriptor = argument.partition("=")
        threading.Thread(target=serve, args=(name, int(descriptor)), daemon=True).start()
    if sys.stdin.readline() == "stay\n":
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
