"""Rule sets in files: the output of iptables-save, ip6tables-save, `ipset save` and `nft list ruleset`.

One file may have several dumps, or each dump its own file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from testbed.errors import RulesError
from testbed.rules import commands, environment, families, files, forbidden, pasted, save
from testbed.rules.nft import NftRuleset
from testbed.rules.origin import UNKNOWN, RulesetOrigin
from testbed.rules.ruleset import AnyRuleset, Comment, Ruleset
from testbed.rules.syntax import NFTABLES

_COMMANDS = ("table", "flush", "add", "create", "define", "include", "delete", "destroy")  # first words of nft files
_SET = re.compile(r"create (?P<name>\S+) (?:bitmap|hash|list):")  # ipset(8); nft has other forms, such as `create set`
_ELEMENT = re.compile(r"add (?P<name>\S+) \S")
_NFT_TABLE = re.compile(r"^table (?:\w+ )?\S+ \{", re.MULTILINE)
_DUMPS = "Give what iptables-save, ip6tables-save and `ipset save` print, or what `nft list ruleset` prints."
_ONE_KIND = (
    "`nft list ruleset` prints iptables-nft's tables too: give it alone, or iptables-save, ip6tables-save and ipset."
)


def read(paths: Path | str) -> AnyRuleset:
    """Return the rule set in a file, or in several files separated by commas, whose dumps are combined.

    Raises RulesError when a file cannot be read or a line of iptables text is not understood. Raises it too when dumps
    cannot be combined, or a rule needs an ipset that no dump has.
    """
    parts = [_read(path) for path in paths_of(paths)]
    ruleset = parts[0] if len(parts) == 1 else _together(parts, str(paths))
    environment.require_sets(ruleset)
    return ruleset


def paths_of(paths: Path | str) -> list[Path]:
    """Return the files that a word names: one, even with commas in its name, or several separated by commas."""
    return [Path(paths)] if os.path.exists(paths) else [Path(path) for path in str(paths).split(",")]


def parse(text: str, source: str = "the rule set", origin: RulesetOrigin = UNKNOWN) -> AnyRuleset:
    """Return the rule set in a text; its first word shows whether it is nftables'. Raises RulesError as `read` does.

    Prompts, code fences and commands that only print may surround a dump. Commands of iptables, and the output of
    `iptables -S`, are read as the rules that they make.
    """
    pasted.require_rules(text := pasted.cleaned(text), source)
    rest, sets = _without_sets(text)
    words = (line.split()[0] for line in rest.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    if next(words, "") in _COMMANDS:
        if sets:
            raise RulesError(f"{source} has rules of nftables and ipsets, which nftables does not know.", _ONE_KIND)
        return NftRuleset(text, source, origin)
    if _NFT_TABLE.search(rest):
        raise RulesError(f"{source} has tables of iptables and of nftables.", _ONE_KIND)
    if wrong := forbidden.in_sets(sets.splitlines()):
        raise RulesError(f"{source} has sets that are not read: {wrong}.", "Give what `ipset save` prints.")
    read_by = commands.parse if commands.begins(rest) else save.parse
    return replace(read_by(rest, source), sets=sets, origin=origin)


def _read(path: Path) -> AnyRuleset:
    ruleset = parse(files.text_of(path, _DUMPS), files.name_of(path), RulesetOrigin.of_file(str(path)))
    if (iptables := ruleset.as_iptables) is not None:
        families.require_no_other_name(iptables, path)
    return ruleset


def _without_sets(text: str) -> tuple[str, str]:
    """Return a text with an empty line in place of each line of `ipset save`, and these lines."""
    names: set[str] = set()
    rest: list[str] = []
    sets: list[str] = []
    for line in text.split("\n"):
        made, element = _SET.match(line), _ELEMENT.match(line)
        names |= {made["name"]} if made else set()
        of_a_set = made is not None or (element is not None and element["name"] in names)
        (sets if of_a_set else rest).append(line)
        if of_a_set:
            rest.append("")
    return "\n".join(rest), "".join(f"{line}\n" for line in sets)


def _together(parts: Iterable[AnyRuleset], source: str) -> AnyRuleset:
    """Return one rule set of several files; raises RulesError for different syntaxes or a table in two files."""
    read_so_far = list(parts)
    native = [part for part in read_so_far if part.syntax is NFTABLES]
    others = [iptables for part in read_so_far if (iptables := part.as_iptables) is not None]
    if native and others:
        raise RulesError(f"{native[0].source} is nftables' and {others[0].source} is not.", _ONE_KIND)
    if native:
        return NftRuleset("\n".join(part.text for part in native), source, RulesetOrigin.of_file(source))
    found = Ruleset((), source, origin=RulesetOrigin.of_file(source))
    for part in others:
        for table in part.tables:
            if before := next((known.source for known in found.tables if known.name == table.name), ""):
                raise RulesError(
                    f"the table {table.name} is in {before} and in {part.source}.",
                    "Give one dump of each; ip6tables-save's begins with a comment that names it.",
                )
        placed = (e if isinstance(e, Comment) else replace(e, source=part.source) for e in part.entries)
        found = found.beside(replace(part, entries=tuple(placed)))
    return found
