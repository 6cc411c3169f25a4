"""The order in which Compose starts services, which gives their addresses."""

from __future__ import annotations

from collections.abc import Iterator

from testbed.docker.compose.services import ServiceRequest
from testbed.docker.problems import Problems


def in_start_order(services: list[ServiceRequest], problems: Problems) -> list[ServiceRequest]:
    """Return services behind those that they need, and as they stand in the file otherwise."""
    known = {service.name: service for service in services}
    done: dict[str, ServiceRequest] = {}
    for service in services:
        with problems.collected():
            _start(service, known, done)
    return list(done.values())


def _start(service: ServiceRequest, known: dict[str, ServiceRequest], done: dict[str, ServiceRequest]) -> None:
    """Start what a service needs, then itself, without recursion: chains may be long."""
    waiting: dict[str, Iterator[str]] = {service.name: iter(service.needs)}
    while waiting:
        name = next(reversed(waiting))
        other = next((need for need in waiting[name] if need not in done), None)
        if other is None:
            done[name] = known[name]
            del waiting[name]
        elif other in waiting:
            raise known[name].tree.error(f"{name} and {other} wait for each other.", "Remove one dependency.")
        elif other not in known:
            raise known[name].tree.error(
                f"{name} needs the service {other}, which is not there.", "Add it, or switch on its profile."
            )
        else:
            waiting[other] = iter(known[other].needs)
