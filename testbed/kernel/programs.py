"""Where the programs are that a bed needs, also for a root whose PATH lacks the folders of root's programs."""

from __future__ import annotations

import os
import shutil

NFT, LEGACY = "nft", "legacy"  # iptables' two ways to the kernel, as in its version line


def find(program: str) -> str | None:
    """The path of a program, or None where it is not installed."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
