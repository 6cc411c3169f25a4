"""Compose files merged by the specification's rules: a later one adds to an earlier one, and overrides it."""

from __future__ import annotations

from testbed.docker.compose.keys import PASSED
from testbed.docker.tree import OVERRIDE, RESET, Tree

_Path = tuple[str, ...]


def merged(base: Tree, over: Tree, path: _Path = ()) -> Tree:
    """Return a part of one document with that of a later one merged into it; TopologyError where they do not agree."""
    if over.tag in (RESET, OVERRIDE) or base.is_absent or _replaces(path):
        return over
    if over.is_absent:
        return base
    if _is(path, "services", "*", "networks") or _is(path, "services", "*", "depends_on"):
        base, over = _as_mapping(base), _as_mapping(over)
    if _is(path, "services", "*", "sysctls"):
        return over.with_value([*_as_pairs(base), *_as_pairs(over)])
    if _is(path, "networks", "*", "ipam", "config"):
        return over.with_value(_pools(base, over, path))
    if isinstance(base.value, dict) and isinstance(over.value, dict):
        return over.with_value(_mappings(base.value, over.value, path))
    if isinstance(base.value, list) and isinstance(over.value, list):
        return over.with_value([*base.value, *over.value])
    if isinstance(base.value, str) and isinstance(over.value, str):
        return over
    raise over.error(
        f"{'.'.join(path) or 'this document'} is of another kind than at {base.place}.", "Write both alike."
    )


def _mappings(base: dict[str, Tree], over: dict[str, Tree], path: _Path) -> dict[str, Tree]:
    found = dict(base)
    for key, entry in over.items():
        found[key] = merged(base[key], entry, (*path, key)) if key in base else entry
    return found


def _replaces(path: _Path) -> bool:
    """Whether the later value counts alone: what a service says that has no part in filtering, its labels too."""
    if len(path) < 2:
        return bool(path) and path[0] not in ("services", "networks", "daemon", "include")
    if path[0] == "services" and len(path) > 2:
        return path[2] in PASSED or path[2:4] == ("deploy", "labels")
    return path[0] == "networks" and path[2:3] == ("labels",)


def _is(path: _Path, *pattern: str) -> bool:
    return len(path) == len(pattern) and all(want in ("*", part) for part, want in zip(path, pattern, strict=True))


def _as_mapping(tree: Tree) -> Tree:
    return tree.with_value(dict(tree.entries))


def _as_pairs(tree: Tree) -> list[Tree]:
    return [Tree(f"{key}={value}", tree.source, tree.line) for key, value in tree.pairs]


def _pools(base: Tree, over: Tree, path: _Path) -> list[Tree]:
    """Pools of addresses, one for each subnet."""
    found: list[Tree] = list(base.items)
    for pool in over.items:
        same = [n for n, known in enumerate(found) if known.text("subnet") == pool.text("subnet")]
        if same:
            found[same[0]] = merged(found[same[0]], pool, (*path, "0"))
        else:
            found.append(pool)
    return found


def without_resets(tree: Tree) -> Tree:
    """Return a document without the parts that are marked `!reset`."""
    if isinstance(tree.value, dict):
        kept = {key: without_resets(entry) for key, entry in tree.value.items() if entry.tag != RESET}
        return tree.with_value(kept)
    if isinstance(tree.value, list):
        return tree.with_value([without_resets(item) for item in tree.value if item.tag != RESET])
    return tree
