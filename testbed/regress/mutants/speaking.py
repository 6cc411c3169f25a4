"""What a rule does, in words of people: of Docker's own rules what they are for, of any other what it matches."""

from __future__ import annotations

from testbed.regress.mutants import aspects, docker
from testbed.regress.mutants.docker import Speech
from testbed.regress.mutants.site import Site
from testbed.rules.clauses import Clause, Target

_DONE = {
    "ACCEPT": "is accepted",
    "DROP": "is dropped",
    "REJECT": "is rejected",
    "RETURN": "leaves {chain} undecided",
    "LOG": "is logged",
    "NFLOG": "is logged",
    "MASQUERADE": "is hidden behind the host's address",
    "NOTRACK": "is not tracked",
}
_ANSWERS = {"ESTABLISHED", "RELATED"}


def speech(site: Site, changed: Clause | None = None) -> Speech:
    """What a rule is about and what it does; the clause that is changed is left out of what it is about."""
    return docker.speech(site) or _in_general(site, changed)


def about(site: Site, clause: Clause, how: str) -> str:
    """The sentence of a change of one clause."""
    said = speech(site, clause)
    return f"{said.subject} {said.done} {how}"


def deleted(site: Site) -> str:
    """The sentence of a rule that is gone."""
    said = speech(site)
    return said.lost or f"{said.subject} no longer {said.done}"


def decided(site: Site, verdict: str) -> str:
    """The sentence of another verdict."""
    said = speech(site)
    return f"{said.subject} {done(verdict, site.chain)} where it {said.done}"


def done(name: str, chain: str, target: Target | None = None) -> str:
    """What a target does to a packet."""
    if name in _DONE:
        return _DONE[name].format(chain=chain)
    words = target.text.split() if target is not None else []
    if name in ("DNAT", "SNAT") and len(words) > 2:
        return f"is translated to {words[2]}"
    if target is not None and (target.verb == "goto" or len(words) == 1):
        return f"is sent to {name}"
    return f"is given to `{target.text if target is not None else name}`"


def _in_general(site: Site, changed: Clause | None) -> Speech:
    target = site.target
    does = done(target.name, site.chain, target) if target is not None else "is counted"
    return Speech(_subject(site, changed), does)


def _subject(site: Site, changed: Clause | None) -> str:
    asked = [clause for clause in site.clauses if clause is not changed and clause.option]
    if any(not aspects.limits(clause) for clause in asked):
        return f"what `{site.rule.text}` matches"
    what = "the loopback" if _is_loopback(asked) else "an answer" if _is_answer(asked) else "a packet"
    protocol = next((c.values[0] for c in asked if c.option == "-p" and c.values and not c.negated), "")
    left = [c for c in asked if not (c.option == "-p" or (what == "the loopback" and c.option in ("-i", "-o")))]
    left = [c for c in left if not (what == "an answer" and c.option in ("--ctstate", "--state"))]
    named = f"a {protocol} packet" if protocol and what == "a packet" else what
    where = [f"not {aspects.one(c)}" if c.negated else aspects.one(c) for c in left]
    return " ".join([named, *where, f"in {site.chain}"])


def _is_loopback(asked: list[Clause]) -> bool:
    return any(c.option in ("-i", "-o") and c.values == ("lo",) and not c.negated for c in asked)


def _is_answer(asked: list[Clause]) -> bool:
    states = [set(c.values[0].split(",")) for c in asked if c.option in ("--ctstate", "--state") and c.values]
    return bool(states) and states[0] <= _ANSWERS
