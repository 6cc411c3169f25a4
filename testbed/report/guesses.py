"""Sentences on what a host was given because rules name it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from testbed.docker.guess import Guess, GuessKind

_BECAUSE = {"publish": "at which rules publish ports or let packets in", "snat": "under which rules send packets out"}


def sentences(guesses: Iterable[Guess]) -> list[str]:
    """Return one sentence for each guess."""
    return [_SENTENCES[guess.kind](guess) for guess in guesses]


def as_dicts(guesses: Iterable[Guess]) -> list[dict[str, object]]:
    """Return the guesses for programs."""
    return [
        {"kind": one.kind.value, "name": one.name, "addresses": list(one.addresses), "assumed": one.assumed}
        for one in guesses
    ]


def _assumed(guess: Guess) -> str:
    return "; its subnet is assumed" if guess.assumed else ", as rules name it"


def _network(guess: Guess) -> str:
    gateways = " and ".join(guess.addresses)
    if not guess.assumed:
        return f"{guess.name} is made with {gateways}, as rules name it."
    return (
        f"{guess.name} is made with {gateways}, which is assumed: rules translate to {guess.because}, and give no"
        " network that has it."
    )


_SENTENCES: dict[GuessKind, Callable[[Guess], str]] = {
    GuessKind.IPV6: lambda _: "The host has IPv6, as there are rules of IPv6.",
    GuessKind.UPLINK_NAME: lambda one: f"{one.name} is the host's uplink to client and internet, as rules name it.",
    GuessKind.UPLINK: lambda one: f"{one.name} is made as an uplink with {one.addresses[0]}{_assumed(one)}.",
    GuessKind.ADDRESS: lambda one: f"The host has the address {one.addresses[0]}, {_BECAUSE[one.because]}.",
    GuessKind.TUNNEL: lambda one: (
        f"{one.name} is made as a tunnel with {one.addresses[0]}, {' and '.join(one.addresses[1:])} behind it"
        f"{_assumed(one)}."
    ),
    GuessKind.NETWORK: _network,
    GuessKind.CONTAINER: lambda one: f"{one.name} is made on {one.at}: rules translate to {one.addresses[0]}.",
    GuessKind.BRIDGE: lambda one: (
        f"{one.name} is made as a bridge with {one.addresses[0]}, {one.at} at {one.addresses[1]} behind it"
        f"{_assumed(one)}."
    ),
    GuessKind.MACHINE: lambda one: f"{one.name} is made outside, as rules name {one.because}.",
}
