"""A userland proxy: listens on a host like docker-proxy, and relays to containers.

It runs as a program in the host's namespace, with PROTOCOL/ADDRESS/PORT/TO/PORT for each published port. It prints
`ready` when it listens. It ends when its standard input is closed, unless it has read `stay` there. It imports nothing
of the testbed, to start fast.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
from collections.abc import Callable

Address = tuple[str, int]


def family_of(address: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def relay_tcp(listening: socket.socket, to: Address) -> None:
    """Accept connections forever; relay each over a connection of its own to the container."""
    while True:
        client, _ = listening.accept()
        threading.Thread(target=_join, args=(client, to), daemon=True).start()


def _join(client: socket.socket, to: Address) -> None:
    try:
        server = socket.create_connection(to)
    except OSError:
        client.close()
        return
    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
    back.start()
    _pump(client, server)
    back.join()
    client.close()
    server.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Relay data until its end, and pass on the end."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one side has aborted the connection


def relay_udp(listening: socket.socket, to: Address) -> None:
    """Relay datagrams; each client has its own socket towards the container, which receives the answers."""
    flows: dict[Address, socket.socket] = {}
    while True:
        data, asker = listening.recvfrom(65536)
        if asker not in flows:
            flows[asker] = socket.socket(family_of(to), socket.SOCK_DGRAM)
            flows[asker].connect(to)
            threading.Thread(target=_answers, args=(flows[asker], listening, asker), daemon=True).start()
        flows[asker].send(data)


def _answers(upstream: socket.socket, listening: socket.socket, asker: Address) -> None:
    while True:
        try:
            listening.sendto(upstream.recv(65536), asker)
        except ConnectionRefusedError:
            continue  # the container has answered that the port is closed


def _open(protocol: str, address: Address) -> tuple[socket.socket, Callable[[socket.socket, Address], None]]:
    family = family_of(address)
    if protocol != "udp":
        return socket.create_server(address, family=family, backlog=128), relay_tcp
    listening = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind(address)
    return listening, relay_udp


def main(arguments: list[str]) -> None:
    for argument in arguments:
        protocol, address, port, to, to_port = argument.split("/")
        listening, relay = _open(protocol, (address, int(port)))
        threading.Thread(target=relay, args=(listening, (to, int(to_port))), daemon=True).start()
    print("ready", flush=True)  # noqa: T201
    if stays := sys.stdin.readline().split():  # as long as the processes of these descriptors run, or for ever
        select.select([int(descriptor) for descriptor in stays[1:]], [], [])


if __name__ == "__main__":
    main(sys.argv[1:])
