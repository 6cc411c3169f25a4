"""Recognise Docker's own rules, and describe their purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from testbed.behaviour.mutants.site import Site
from testbed.rules.clauses import clauses, target_of


@dataclass(frozen=True, slots=True)
class Speech:
    """The subject of a rule, its effect (`is` ...), and the sentence of its removal ('': the general one).

    `rule` is the effect of the rule if subject and `done` do not say where it applies. `cases` are special sentences
    for changes of a clause, by `dropped`, `negated` or `other` and the option; `{}` is the new value.
    """

    subject: str
    done: str
    lost: str = ""
    rule: str = ""
    cases: Mapping[str, str] = field(default_factory=dict)


def speech(site: Site) -> Speech | None:
    """Describe the purpose of one of Docker's own rules; None for any other rule."""
    found = (known(site, _DockerRule.of(site)) for known in _KNOWN.get(site.table, ()))
    return next((said for said in found if said is not None), None)


@dataclass(frozen=True, slots=True)
class _DockerRule:
    """A rule as a mapping from option to values, with `!` before negated ones."""

    chain: str
    target: str
    by: dict[str, str]

    @classmethod
    def of(cls, site: Site) -> _DockerRule:
        target = site.target
        by = {c.option: ("!" if c.negated else "") + " ".join(c.values) for c in site.clauses if c.option}
        return cls(site.chain, target.name if target is not None else "", by)

    def only(self, *options: str) -> bool:
        """Return whether the rule has exactly these options."""
        return set(self.by) == set(options)

    def get(self, option: str) -> str:
        return self.by.get(option, "")

    @property
    def leaving(self) -> str:
        """Return the bridge of `-i BRIDGE ! -o BRIDGE`; '' for anything else."""
        bridge = self.get("-i")
        return bridge if self.get("-o") == f"!{bridge}" else ""

    @property
    def entering(self) -> str:
        """Return the bridge of `! -i BRIDGE -o BRIDGE`; '' for anything else."""
        bridge = self.get("-o")
        return bridge if self.get("-i") == f"!{bridge}" else ""


_Known = Callable[[Site, _DockerRule], Speech | None]
_FORWARDING = ("FORWARD", "DOCKER-FORWARD")
_STAGES = {
    "DOCKER-USER": ("what is forwarded", "DOCKER-USER is no longer asked"),
    "DOCKER-FORWARD": ("what is forwarded", "Docker's rules for what is forwarded are no longer asked"),
    "DOCKER-CT": ("what is forwarded", "answers to what containers asked are no longer let through by their state"),
    "DOCKER-ISOLATION-STAGE-1": ("what is forwarded", "Docker's networks are no longer isolated from each other"),
    "DOCKER-BRIDGE": ("what is forwarded", "published ports are no longer let through"),
    "DOCKER-INTERNAL": ("what is forwarded", "internal networks are no longer shut off"),
}


def _stage(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain not in _FORWARDING or asked.target not in _STAGES or asked.by:
        return None
    subject, lost = _STAGES[asked.target]
    return Speech(subject, f"is held against {asked.target}", lost)


def _answers(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.target != "ACCEPT" or not asked.only("-o", "--ctstate") or "ESTABLISHED" not in asked.get("--ctstate"):
        return None
    bridge = asked.get("-o")
    return Speech(
        f"an answer to containers on {bridge}",
        "is let through",
        f"answers to what containers on {bridge} asked are no longer let through",
        cases={
            "dropped --ctstate": f"everything is let through to containers on {bridge}, not only answers",
            "negated --ctstate": f"everything but answers is let through to containers on {bridge}",
            "state": f"to containers on {bridge}",
        },
    )


def _to_docker(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.target != "DOCKER" or not asked.only("-o"):
        return None
    bridge = asked.get("-o")
    return Speech(
        "what is forwarded",
        "is held against published ports",
        f"published ports of containers on {bridge} are no longer let through",
        f"holds what goes to {bridge} against published ports",
    )


def _way_out(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.target != "ACCEPT" or asked.chain not in _FORWARDING:
        return None
    bridge = asked.leaving or (asked.get("-i") if asked.only("-i") else "")
    if not bridge or not set(asked.by) <= {"-i", "-o"}:
        return None
    rest = f"everything but what goes to {bridge}" if asked.leaving else "everything"
    return Speech(
        f"what containers on {bridge} send out",
        "is let through",
        f"containers on {bridge} have no way out",
        cases={"dropped -i": f"{rest} is let through, not only what comes from {bridge}"},
    )


def _neighbours(_: Site, asked: _DockerRule) -> Speech | None:
    """Describe the rule on traffic between containers of one network; it drops with `icc=false`."""
    bridge = asked.get("-i")
    if not asked.only("-i", "-o") or bridge != asked.get("-o") or asked.target not in ("ACCEPT", "DROP"):
        return None
    subject = f"traffic among containers on {bridge}"
    if asked.target == "ACCEPT":
        return Speech(subject, "is let through", f"traffic among containers on {bridge} is no longer let through")
    return Speech(subject, "is dropped", f"containers on {bridge} are no longer shut off from each other")


def _published(site: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "DOCKER" or asked.target != "ACCEPT" or not asked.get("--dport") or not asked.get("-d"):
        return None
    address, port, protocol = asked.get("-d").partition("/")[0], asked.get("--dport"), asked.get("-p")
    subject = _port(_published_as(site, address, port, protocol) or port, protocol)
    return Speech(
        subject,
        "is let through",
        f"{subject} is no longer let through to {_joined(address, port)}",
        cases={
            "dropped -d": f"port {port} of every container is let through, not only {subject}",
            "dropped -p": f"every port and protocol of container {address} is let through, not only {subject}",
            "dropped --dport": f"every {protocol} port of container {address} is let through, not only {subject}",
            "negated --dport": f"every {protocol} port of container {address} is let through except {subject}",
            "other --dport": f"port {{}} of container {address} is let through instead of {subject}",
            "other -p": f"port {port}/{{}} of container {address} is let through instead of {subject}",
        },
    )


def _unpublished(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "DOCKER" or asked.target != "DROP" or not asked.entering or not asked.only("-i", "-o"):
        return None
    bridge = asked.entering
    return Speech(
        f"an unpublished port of containers on {bridge}",
        "is closed",
        f"unpublished ports of containers on {bridge} are no longer closed",
        f"closes unpublished ports of containers on {bridge}",
    )


def _isolation(_: Site, asked: _DockerRule) -> Speech | None:
    bridge = asked.leaving or asked.get("-o")
    if asked.chain == "DOCKER-ISOLATION-STAGE-1" and asked.target == "DOCKER-ISOLATION-STAGE-2" and asked.leaving:
        return Speech(
            f"what containers on {bridge} send out",
            "is kept from other networks",
            f"{bridge} is no longer kept from Docker's other networks",
            f"keeps containers on {bridge} from Docker's other networks",
        )
    if asked.chain == "DOCKER-ISOLATION-STAGE-2" and asked.target == "DROP" and asked.only("-o"):
        return Speech(
            f"what Docker's other networks send to {bridge}",
            "is dropped",
            f"{bridge} is open to Docker's other networks",
            f"closes {bridge} to Docker's other networks",
        )
    return None


def _internal(_: Site, asked: _DockerRule) -> Speech | None:
    """Describe the rules of an internal network: no traffic out, none in."""
    if asked.chain != "DOCKER-ISOLATION-STAGE-1" or asked.target != "DROP":
        return None
    if asked.only("-d", "-i") and asked.get("-d").startswith("!"):
        bridge = asked.get("-i")
        return Speech(
            f"what containers on the internal network {bridge} send out",
            "is dropped",
            f"containers on the internal network {bridge} may send out",
            f"keeps containers on the internal network {bridge} in",
        )
    if asked.only("-s", "-o") and asked.get("-s").startswith("!"):
        bridge = asked.get("-o")
        return Speech(
            f"what others send to the internal network {bridge}",
            "is dropped",
            f"others may send to containers on the internal network {bridge}",
            f"keeps others out of the internal network {bridge}",
        )
    return None


def _end(_: Site, asked: _DockerRule) -> Speech | None:
    """Describe the RETURN at the end of Docker's chains."""
    if asked.target != "RETURN" or asked.by or not asked.chain.startswith("DOCKER"):
        return None
    subject = f"what nothing in {asked.chain} decides"
    return Speech(subject, "is left to the rules that follow", f"{asked.chain} has no RETURN at its end")


def _local(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.target != "DOCKER" or asked.get("--dst-type") != "LOCAL":
        return None
    if asked.chain == "PREROUTING":
        return Speech(
            "what comes to the host's own addresses",
            "is held against published ports",
            "published ports are no longer translated for anybody outside the host",
            "holds what comes to the host's own addresses against published ports",
            {
                "dropped --dst-type": "published ports catch what is meant for other hosts too",
                "negated --dst-type": "published ports catch what is meant for other hosts, not what is for this one",
            },
        )
    return Speech(
        "what the host itself sends to its own addresses",
        "is held against published ports",
        "published ports are no longer translated for the host itself",
        "holds what the host itself asks of its own addresses against published ports",
        {
            "dropped --dst-type": "published ports catch what the host itself asks of other hosts too",
            "dropped -d": "published ports are translated where the host itself asks its loopback, too",
            "negated -d": "published ports are translated where the host itself asks its loopback, and nowhere else",
        },
    )


def _masquerade(site: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "POSTROUTING" or asked.target != "MASQUERADE" or not asked.get("-s"):
        return None
    if asked.only("-s", "-o") and asked.get("-o").startswith("!"):
        source = asked.get("-s")
        return Speech(
            f"what containers of {source} send out",
            "is hidden behind the host's address",
            f"containers of {source} go out under their own addresses",
            f"hides containers of {source} behind the host's address",
            {"dropped -s": f"whoever sends is hidden behind the host's address, not only containers of {source}"},
        )
    if asked.get("-s") != asked.get("-d") or not asked.get("--dport"):
        return None
    address, port = asked.get("-s").partition("/")[0], asked.get("--dport")
    known = _port(_published_as(site, address, port, asked.get("-p")) or port, asked.get("-p"))
    return Speech(
        f"the call that container {address} makes of its own {known}",
        "is hidden behind the host's address",
        f"container {address} no longer reaches itself by {known}",
        f"hides container {address} from itself when it calls its own {known}",
    )


def _untranslated(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "DOCKER" or asked.target != "RETURN" or not asked.only("-i"):
        return None
    bridge = asked.get("-i")
    return Speech(
        f"a published port, called by containers on {bridge},",
        "is left untranslated",
        f"nothing keeps published ports from being translated for containers on {bridge} too",
        f"leaves published ports untranslated for containers on {bridge}",
    )


def _translated(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "DOCKER" or not asked.target.startswith("DNAT") or not asked.get("--dport"):
        return None
    subject = _port(asked.get("--dport"), asked.get("-p"), asked.get("-d").partition("/")[0])
    bridge, port, protocol = asked.get("-i").removeprefix("!"), asked.get("--dport"), asked.get("-p")
    return Speech(
        subject,
        "is translated to its container",
        f"{subject} is no longer translated to its container",
        cases={
            "dropped -i": f"{subject} is translated for containers on {bridge} too",
            "negated -i": f"{subject} is translated for containers on {bridge} only",
            "dropped --dport": f"every {protocol} port of the host leads to the container of {subject}",
            "negated --dport": f"every {protocol} port of the host but {port} leads to the container of {subject}",
            "other --dport": f"port {{}} leads to the container instead of {subject}",
            "other -p": f"port {port}/{{}} leads to the container instead of {subject}",
        },
    )


def _on_loopback(_: Site, asked: _DockerRule) -> Speech | None:
    if asked.chain != "PREROUTING" or asked.target != "DROP" or asked.get("-i") != "!lo" or not asked.get("--dport"):
        return None
    subject = _port(asked.get("--dport"), asked.get("-p"), asked.get("-d").partition("/")[0])
    return Speech(
        f"what neighbours send to {subject}",
        "is dropped",
        f"{subject} is open to neighbours",
        f"shuts {subject} to neighbours",
    )


def _own_address(_: Site, asked: _DockerRule) -> Speech | None:
    if (
        asked.chain != "PREROUTING"
        or asked.target != "DROP"
        or not asked.only("-d", "-i")
        or "!" not in asked.get("-i")
    ):
        return None
    address, bridge = asked.get("-d").partition("/")[0], asked.get("-i").removeprefix("!")
    return Speech(
        f"what is sent to container {address} past its published ports",
        "is dropped",
        f"container {address} is open past its published ports",
        f"shuts the own address of container {address}",
        {
            "dropped -i": f"container {address} is shut to its own bridge {bridge} too",
            "dropped -d": f"whatever does not come from {bridge} is dropped, wherever it goes",
        },
    )


def _published_as(site: Site, address: str, port: str, protocol: str) -> str:
    """Return the host's port that is translated to a container's; '' if there is none."""
    for table, rule in site.rules.rules:
        target = target_of(rule.spec)
        if target is None or target.name != "DNAT" or table.of_ipv6 != site.of_ipv6:
            continue
        asked = {clause.option: clause.values[0] for clause in clauses(rule.spec) if clause.values}
        if target.text.endswith(f" {_joined(address, port)}") and asked.get("-p") == protocol:
            return asked.get("--dport", "")
    return ""


def _joined(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _port(port: str, protocol: str, address: str = "") -> str:
    """Name a port: `published port 80`; with the name of a protocol other than TCP."""
    name = f"{port}/{protocol}" if protocol != "tcp" else port
    return f"published port {name}" + (f" of {address}" if address else "")


_KNOWN: dict[str, tuple[_Known, ...]] = {
    "filter": (
        _stage,
        _answers,
        _to_docker,
        _way_out,
        _neighbours,
        _published,
        _unpublished,
        _isolation,
        _internal,
        _end,
    ),
    "nat": (_local, _masquerade, _untranslated, _translated),
    "raw": (_own_address, _on_loopback),
}
