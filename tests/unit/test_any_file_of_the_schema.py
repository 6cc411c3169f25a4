"""Any compose file that the specification's schema allows is read, or refused with a sentence, in half a second."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from testbed.docker import DockerHost, hostfile
from testbed.docker.compose import keys
from testbed.errors import TestbedError

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "compose" / "compose-spec.json").read_text())
DEEPEST = 7
NAMES = some.sampled_from(["web", "db", "default", "host", "a-b", "x-own", "9"])
WORDS = NAMES | some.sampled_from(
    ["80", "80:80", "10.0.0.0/24", "10.0.0.5", "fd00::/64", "service:web", "bridge", "$A"]
)
TYPES: dict[str, some.SearchStrategy[Any]] = {
    "string": WORDS,
    "integer": some.integers(-1, 70000),
    "number": some.integers(-1, 70000) | some.floats(0, 10),
    "boolean": some.booleans(),
    "null": some.none(),
    "array": some.lists(WORDS, max_size=2),
    "object": some.dictionaries(NAMES, WORDS, max_size=2),
}
Schema = dict[str, Any]


def found(reference: str) -> Schema:
    """The part of the schema that `$ref` names."""
    part: Any = SCHEMA
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def valid(schema: Schema | bool, depth: int = 0) -> some.SearchStrategy[Any]:
    """Values that a schema allows; patterns and formats of texts are not looked at."""
    if not isinstance(schema, dict) or depth > DEEPEST:
        return some.none()
    if "$ref" in schema:
        return referred(schema["$ref"], depth)
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            return some.one_of([valid(one, depth + 1) for one in schema[choice]])
    if "enum" in schema:
        return some.sampled_from(schema["enum"])
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return some.one_of([of_type(kind, schema, depth) for kind in kinds])


@cache
def referred(reference: str, depth: int) -> some.SearchStrategy[Any]:
    return some.deferred(lambda: valid(found(reference), depth + 1))


def of_type(kind: str, schema: Schema, depth: int) -> some.SearchStrategy[Any]:
    if kind == "array" and "items" in schema:
        return some.lists(valid(schema["items"], depth + 1), max_size=2)
    if kind != "object" or not schema.keys() & {"properties", "patternProperties", "additionalProperties"}:
        return TYPES[kind]
    known = {key: valid(part, depth + 1) for key, part in schema.get("properties", {}).items()}
    required = {key: known.pop(key) for key in schema.get("required", ())}
    parts = [part for key, part in schema.get("patternProperties", {}).items() if not key.startswith("^x-")]
    other = schema.get("additionalProperties", False)
    parts += [other] if isinstance(other, dict) else []
    named = some.dictionaries(NAMES, some.one_of([valid(one, depth + 1) for one in parts]), max_size=3)
    asked = some.lists(some.sampled_from(sorted(known)), max_size=3, unique=True) if known else some.just([])
    own = asked.flatmap(lambda some_of: some.fixed_dictionaries({**required, **{key: known[key] for key in some_of}}))
    return some.builds(lambda one, two: {**one, **two}, named, own) if parts else own


SERVICES = some.dictionaries(NAMES, valid({"$ref": "#/$defs/service"}), min_size=1, max_size=3)
FILES = some.builds(lambda file, services: {**file, "services": services}, valid(SCHEMA), SERVICES) | valid(SCHEMA)


def read(document: Any) -> tuple[DockerHost | None, str]:
    try:
        return hostfile.parse(json.dumps(document), "mine"), ""
    except TestbedError as error:
        return None, error.what


@settings(max_examples=120, deadline=500, suppress_health_check=list(HealthCheck))
@given(FILES)
def test_any_file_that_the_schema_allows_is_read_or_refused_with_a_sentence(document: Any) -> None:
    host, refusal = read(document)
    if host is None:
        assert re.match(r"mine, line \d+: .|\d+ things are wrong:\n  mine, line ", refusal), refusal
    else:
        assert len({container.name for container in host.containers}) == len(host.containers)


def test_every_key_of_a_service_and_of_a_network_in_the_schema_is_known() -> None:
    for name, known in (("service", keys.SERVICE), ("network", keys.NETWORK)):
        assert set(found(f"#/$defs/{name}")["properties"]) <= set(known)
    assert set(SCHEMA["properties"]) <= set(keys.DOCUMENT)
