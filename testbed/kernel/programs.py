"""Find the programs that a bed needs, even if root's PATH lacks the folders of system programs."""

from __future__ import annotations

import os
import shutil

NFT, LEGACY = "nft", "legacy"  # the two variants of iptables, as in its version line


def find(program: str) -> str | None:
    """Return the path of a program, or None if it is not installed."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
