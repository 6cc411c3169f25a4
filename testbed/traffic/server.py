"""A small HTTP server that answers with the client address it sees, so that a translation shows in the answer.

It runs as a program with listening sockets as inherited descriptors (`server.py NAME=FD ...`). It ends when its
standard input is closed, unless it has read `stay` there. It imports nothing of the testbed, to start fast.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def written(address: Any) -> str:
    """Return address and port as text, of either IP version."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Greeter(BaseHTTPRequestHandler):
    """Answers every GET with one line: the server's name and address, and the client's address."""

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
        """Write no log."""


def serve(name: str, descriptor: int) -> None:
    """Serve on a socket that already listens: HTTP, and on one of UDP each datagram comes back."""
    opened = socket.socket(fileno=descriptor)
    if opened.type == socket.SOCK_DGRAM:
        give_back(opened)
    serve_http(name, opened)


def give_back(opened: socket.socket) -> None:
    """Send each datagram back to its sender, for ever."""
    opened.settimeout(None)
    while True:
        data, sender = opened.recvfrom(65536)
        try:
            opened.sendto(data, sender)
        except OSError:
            continue  # the packet filter refuses the answer


def serve_http(name: str, opened: socket.socket) -> None:
    handler = type("Named", (Greeter,), {"name": name})
    server = ThreadingHTTPServer(("", 0), handler, bind_and_activate=False)
    server.socket = opened
    server.serve_forever()


def main(arguments: list[str]) -> None:
    for argument in arguments:
        name, _, descriptor = argument.partition("=")
        threading.Thread(target=serve, args=(name, int(descriptor)), daemon=True).start()
    if stays := sys.stdin.readline().split():  # as long as the processes of these descriptors run, or for ever
        select.select([int(descriptor) for descriptor in stays[1:]], [], [])


if __name__ == "__main__":
    main(sys.argv[1:])
