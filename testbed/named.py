"""Named beds: they outlive the process that made them, so that `ip netns exec NAME-host ...` works on them.

A bed is built without a name first and gets its name when it is complete. A process killed before that leaves nothing.
A process killed while the names are assigned leaves a record of the bed's resources. The next `up` or `down` removes
them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from testbed import bedrecord, namelock
from testbed.bed import Testbed
from testbed.bedrecord import NAME, Damaged, Record
from testbed.companion_programs import Companion, userland_proxy
from testbed.docker import DockerHost
from testbed.errors import NameTaken, NotUp, TestbedError
from testbed.kernel import named_namespaces
from testbed.kernel.backends import backend_for
from testbed.kernel.namespace import Namespace, not_root, quarantine
from testbed.kernel.waiting import any_readable
from testbed.rules import AnyRuleset
from testbed.topology import Node

HTTP_PORT = 80


def up(name: str, ruleset: AnyRuleset, backend: str, host: str | None = None, engine: str = "") -> tuple[Record, bool]:
    """Make a bed of that name; return its record, and whether it was made now or stood already.

    `host` is the text that describes its Docker host, None for the article's. `engine` is the generation that builds
    the host, empty for none. Raises NameTaken when a bed of that name stands with other rules, another process is
    making it, or a namespace has its name. Raises RulesError and MissingRequirement as Testbed does.
    """
    text, backend = ruleset.text, backend_for(ruleset, backend).name
    with _alone_with(name):
        old = _whole(name)
        if old is not None and old.stands:
            if (old.backend, old.host, old.rules, old.engine) != (backend, host, text, engine):
                raise NameTaken(
                    f"the bed {name} is up already, with {old.backend} and {old.source}.",
                    f"Take it down first (invoke down --name {name}), or choose another name.",
                )
            return old, False
        if old is not None:
            _clear(old)
        record = Record(name, backend, host, text, ruleset.source, {}, engine=engine)
        return _make(record, ruleset), True


def down(name: str) -> list[str]:
    """Remove a bed: its server, its namespaces, its record, nothing else; raises NotUp when there is none.

    For a damaged record, the resources that can still be read are removed. Returns the remaining namespaces that may
    belong to this bed.
    """
    with _alone_with(name):
        record = bedrecord.read(name)
        if record is None:
            raise _not_up(name)
        _clear(record)
        return named_namespaces.beginning_with(f"{name}-") if isinstance(record, Damaged) else []


def standing() -> list[Record]:
    """Return the records of all beds, complete or not, by name, without damaged records."""
    return [record for record in bedrecord.read_all() if isinstance(record, Record)]


def damaged() -> list[Damaged]:
    """Return all damaged records, by name."""
    return [record for record in bedrecord.read_all() if isinstance(record, Damaged)]


def find(name: str) -> Record | None:
    """Return the bed of that name if it stands, else None; raises TestbedError for a damaged record."""
    record = _whole(name) if NAME.fullmatch(name) else None
    return record if record is not None and record.stands else None


def _whole(name: str) -> Record | None:
    """Return the record of that name, or None; raises TestbedError for a damaged record."""
    record = bedrecord.read(name)
    if isinstance(record, Damaged):
        raise record.error
    return record


def require(name: str) -> Record:
    """Return the record of the bed of that name; raises NotUp, with the beds that are up, when it does not stand."""
    record = find(name)
    if record is None:
        raise _not_up(name)
    return record


@contextmanager
def attached(name: str) -> Iterator[Testbed]:
    """Attach this process to the bed of that name while the block runs; raises NotUp when it does not stand."""
    record = require(name)
    with quarantine(), ExitStack() as opened:
        namespaces = {node: Namespace.open(node, record.path(node)) for node in record.namespaces}
        yield opened.enter_context(Testbed.attach(record.topology, namespaces, record.ruleset, record.backend))


def companions_run(record: Record) -> bool:
    """Return whether the bed's HTTP server and its userland proxy are running."""
    return bool(record.companions) and all(_started(pid) == started for pid, started in record.companions)


def _not_up(name: str) -> NotUp:
    others = ", ".join(record.name for record in standing() if record.stands)
    remedy = f"These are up: {others}." if others else "Make one with `invoke up`."
    return NotUp(f"no bed named {name} is up.", remedy)


def _make(record: Record, ruleset: AnyRuleset) -> Record:
    for node in record.topology.nodes:
        if (path := record.path(node.name)).exists():
            raise NameTaken(
                f"a network namespace named {path.name} is there already, and it is not this testbed's.",
                "Choose another name (--name).",
            )
    with quarantine(), Testbed(record.topology, ruleset, record.backend) as bed:
        companions: list[Companion] = []
        record = replace(record, namespaces={name: inside.identity for name, inside in bed.namespaces.items()})
        try:
            bedrecord.write(record)
            named_namespaces.prepare()
            for name, inside in bed.namespaces.items():
                inside.pin(record.path(name))
            companions.extend(_companions(bed, record.docker_host))
            started = tuple((companion.pid, _started(companion.pid)) for companion in companions)
            record = replace(record, companions=started, complete=True)
            bedrecord.write(record)
            for companion in companions:
                companion.stay()
        except BaseException:
            for companion in companions:
                companion.close()
            _clear(record)
            raise
    return record


def _served(host: DockerHost) -> Iterator[tuple[str, int]]:
    """Yield the HTTP listeners: the internet node, and every container on its published TCP ports, else on port 80."""
    yield "internet", HTTP_PORT
    for container in host.containers:
        ports = {port.container for port in container.published if port.protocol == "tcp"} or {HTTP_PORT}
        yield from ((container.name, port) for port in sorted(ports))


def _all_addresses(node: Node) -> list[str]:
    """Return the unspecified address of each IP version that a node has."""
    versions = {address.version for address in node.addresses}
    return [unspecified for version, unspecified in ((4, "0.0.0.0"), (6, "::")) if version in versions]


def _companions(bed: Testbed, host: DockerHost) -> Iterator[Companion]:
    """Yield the programs of a named bed: HTTP for containers and internet, the host's listeners, a userland proxy."""
    listening = [
        (name, bed.kernel(name).listen(port, address))
        for name, port in _served(host)
        for address in _all_addresses(bed.topology.node(name))
    ]
    try:
        taken_over = [*listening, *((bed.topology.host, opened) for opened in bed.listening)]
        fds = [opened.fileno() for _, opened in taken_over]
        arguments = [f"{name}={fd}" for (name, _), fd in zip(taken_over, fds, strict=True)]
        yield Companion(bed.node("internet"), "server.py", arguments, fds)
    finally:
        for _, opened in listening:
            opened.close()
    if host.userland_proxy:
        yield userland_proxy(bed.host, host)


def _clear(record: Record | Damaged) -> None:
    for pid, started in record.companions:
        if _started(pid) == started:
            _end(pid)
    for node, identity in record.namespaces.items():
        path = bedrecord.pin_of(record.name, node)
        if (found := named_namespaces.identity(path)) is not None and found in (identity, named_namespaces.UNPINNED):
            named_namespaces.unpin(path)
    bedrecord.remove(record.name)


def _end(pid: int) -> None:
    """Kill a process of the testbed and wait until it has ended."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            any_readable([descriptor], None)
        finally:
            os.close(descriptor)


def _started(pid: int) -> int:
    """Return a process's start time in clock ticks since boot; 0 if it does not exist (proc_pid_stat(5), field 22)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    state, *rest = stat.rpartition(")")[2].split()
    return 0 if state == "Z" else int(rest[18])


@contextmanager
def _alone_with(name: str) -> Iterator[None]:
    """Keep other processes from making or removing a bed of that name while the block runs."""
    if not NAME.fullmatch(name):
        raise TestbedError(f"{name!r} is no name for a bed.", "Use up to 32 letters, digits, - and _.")
    if os.geteuid() != 0:
        raise not_root()
    with namelock.locked(name):
        yield
