"""The origin of a rule set: a file, an engine, the kernel, or a text without one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OriginKind(StrEnum):
    """The kind of a rule set's origin."""

    TEXT = "text"
    FILE = "file"
    ENGINE = "engine"
    KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class RulesetOrigin:
    """Where a rule set is from: the name of the `engine` that wrote it, the `file` that it was read from."""

    kind: OriginKind = OriginKind.TEXT
    engine: str = ""
    file: str = ""

    @classmethod
    def of_engine(cls, engine: str) -> RulesetOrigin:
        """Return the origin of the rules that an engine writes."""
        return cls(OriginKind.ENGINE, engine=engine)

    @classmethod
    def of_file(cls, file: str) -> RulesetOrigin:
        """Return the origin of the rules in a file, or in several files with commas between them."""
        return cls(OriginKind.FILE, file=file)


KERNEL = RulesetOrigin(OriginKind.KERNEL)
UNKNOWN = RulesetOrigin()
