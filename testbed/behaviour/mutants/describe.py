"""Describe a rule for people: Docker's own rules by their purpose, others by what they match."""

from __future__ import annotations

from testbed.behaviour.mutants import describe_clause, docker
from testbed.behaviour.mutants.docker import Speech
from testbed.behaviour.mutants.site import Site
from testbed.rules.clauses import Clause, Target, target_of
from testbed.rules.ruleset import BUILT_IN_CHAINS, Rule

_DONE = {
    "ACCEPT": "is accepted",
    "DROP": "is dropped",
    "REJECT": "is rejected",
    "LOG": "is logged",
    "NFLOG": "is logged",
    "MASQUERADE": "is hidden behind the host's address",
    "NOTRACK": "is not tracked",
}
_STATES = {
    "NEW": "new connections",
    "ESTABLISHED": "answers",
    "RELATED": "errors about what was sent",
    "INVALID": "packets of no connection",
}
_ANSWERS = {"ESTABLISHED", "RELATED"}
_STATE_OPTIONS = ("--ctstate", "--state")


def speech(site: Site, *changed: Clause) -> Speech:
    """Return the subject and the effect of a rule; changed clauses are left out of the subject."""
    return docker.speech(site) or _in_general(site, changed)


def dropped(site: Site, clause: Clause, *with_it: Clause) -> str:
    """Describe the removal of a clause, and of those that go with it."""
    return _case(site, clause, "dropped") or _applies(site, describe_clause.dropped(clause), clause, *with_it)


def negated(site: Site, clause: Clause) -> str:
    """Describe the negation of a clause."""
    return _case(site, clause, "negated") or _applies(site, describe_clause.negated(clause), clause)


def other(site: Site, clause: Clause, *values: str) -> str:
    """Describe a clause with other values."""
    if clause.option in _STATE_OPTIONS and (said := _other_states(site, clause, values[0])):
        return said
    case = _case(site, clause, "other").format(*values)
    return case or _applies(site, describe_clause.other(clause, *values), clause)


def crossed(site: Site, entering: Clause | None, leaving: Clause | None) -> str:
    """Describe the exchange of input and output interface."""
    clause = entering or leaving
    assert clause is not None
    name = "every interface but " * clause.negated + " ".join(clause.values)
    if entering is None or leaving is None:
        ways = ("towards", "from") if leaving is None else ("from", "towards")
        return _applies(site, f"{ways[0]} {name} instead of {ways[1]} it", clause)
    return _applies(site, "with the way in and the way out exchanged")


def deleted(site: Site) -> str:
    """Describe the removal of a rule."""
    said = speech(site)
    return said.lost or f"{said.subject} is no longer {said.done.removeprefix('is ')}"


def decided(site: Site, verdict: str) -> str:
    """Describe another verdict."""
    said = speech(site)
    return f"{said.subject} {done(verdict, site.chain)}, no longer {said.done.removeprefix('is ')}"


def named(rule: Rule) -> str:
    """Name a rule briefly: the chain of an unconditional jump, or the rule's text."""
    target = target_of(rule.spec)
    unconditional = target is not None and rule.spec == f"-j {target.name}"
    return target.name if unconditional and target is not None and target.name not in _DONE else f"`{rule.spec}`"


def _case(site: Site, clause: Clause, change: str) -> str:
    return speech(site, clause).cases.get(f"{change} {clause.option}", "")


def _applies(site: Site, how: str, *changed: Clause) -> str:
    said = speech(site, *changed)
    return f"the rule that {said.rule} applies {how}" if said.rule else f"{said.subject} {said.done} {how}"


def _other_states(site: Site, clause: Clause, now: str) -> str:
    """Describe one state more or less in a list; '' for any other change."""
    old, new = (set(states.split(",")) for states in (clause.values[0], now))
    said = speech(site, clause)
    where, does = said.cases.get("state", f"in {site.chain}"), said.done.replace("is ", "are ", 1)
    changed = old ^ new
    if clause.negated or len(changed) != 1 or not changed <= set(_STATES) or not does.startswith("are "):
        return ""
    what = f"{_STATES[changed.pop()]} {where}"
    return f"{what} {does} too" if new > old else f"{what} are no longer {does.removeprefix('are ')}"


def done(name: str, chain: str, target: Target | None = None) -> str:
    """Describe the effect of a target on a packet."""
    if name == "RETURN":
        return f"is left to {chain}'s policy" if chain in BUILT_IN_CHAINS else f"is left to what follows {chain}"
    if name in _DONE:
        return _DONE[name]
    words = target.text.split() if target is not None else []
    if name in ("DNAT", "SNAT") and len(words) > 2:
        return f"is translated to {words[2]}"
    if target is not None and (target.verb == "goto" or len(words) == 1):
        return f"is sent to {name}"
    return f"is given to `{target.text if target is not None else name}`"


def _in_general(site: Site, changed: tuple[Clause, ...]) -> Speech:
    target = site.target
    does = done(target.name, site.chain, target) if target is not None else "is counted"
    return Speech(_subject(site, changed), does)


def _subject(site: Site, changed: tuple[Clause, ...]) -> str:
    asked = [clause for clause in site.clauses if clause not in changed and clause.option]
    if any(not describe_clause.limits(clause) for clause in asked):
        return f"what `{site.rule.text}` matches"
    what = "the loopback" if _is_loopback(asked) else "an answer" if _is_answer(asked) else "a packet"
    protocol = next((c.values[0] for c in asked if c.option == "-p" and c.values and not c.negated), "")
    left = [c for c in asked if not (c.option == "-p" or (what == "the loopback" and c.option in ("-i", "-o")))]
    left = [c for c in left if not (what == "an answer" and c.option in ("--ctstate", "--state"))]
    article = "an" if protocol.startswith(("a", "e", "i")) else "a"
    subject = f"{article} {protocol} packet" if protocol and what == "a packet" else what
    where = [f"not {describe_clause.one(c)}" if c.negated else describe_clause.one(c) for c in left]
    return " ".join([subject, *where, f"in {site.chain}"])


def _is_loopback(asked: list[Clause]) -> bool:
    return any(c.option in ("-i", "-o") and c.values == ("lo",) and not c.negated for c in asked)


def _is_answer(asked: list[Clause]) -> bool:
    states = [set(c.values[0].split(",")) for c in asked if c.option in ("--ctstate", "--state") and c.values]
    return bool(states) and states[0] <= _ANSWERS
