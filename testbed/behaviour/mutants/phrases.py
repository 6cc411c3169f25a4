"""One phrase for each mutation operator, for the titles of mutants; the difference of lines shows the rest."""

from __future__ import annotations

PHRASES = {
    "delete": "rule removed from",
    "reorder": "rule moved behind the next one in",
    "move": "rule moved to an end of",
    "return": "return before the rules of",
    "hook": "rule moved to another hook from",
    "policy": "other policy of",
    "verdict": "other verdict in",
    "jump": "other jump in",
    "target": "other translation in",
    "masquerade": "other source translation in",
    "mark": "other mark in",
    "drop-clause": "clause removed in",
    "negate": "clause negated in",
    "interface": "other interface in",
    "port": "other port in",
    "range": "other range in",
    "prefix": "other prefix in",
    "protocol": "other protocol in",
    "state": "other connection states in",
    "flags": "other TCP flags in",
    "icmp": "other ICMP type in",
    "set": "other addresses of a set in",
    "limit": "other limit in",
}
