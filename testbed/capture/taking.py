"""Take a capture on this machine, by the same script as elsewhere."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from testbed.capture.sections import SCRIPT
from testbed.errors import CaptureError

__all__ = ["SCRIPT", "here", "take"]

_DEADLINE = 300  # seconds


def here() -> str:
    """Return the capture of this machine; raises CaptureError without root, or when the script fails."""
    return take(())


def take(entering: Sequence[str]) -> str:
    """Return the capture that the script takes where a command such as nsenter leads; raises CaptureError as `here`."""
    try:
        done = subprocess.run(
            [*entering, "sh", "-s"],
            input=SCRIPT.read_text(),
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CaptureError(
            f"the capture was not taken within {_DEADLINE} seconds.", "Does the Docker daemon answer `docker ps`?"
        ) from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["the script gave no reason"])[-1]
        raise CaptureError(f"{said.removeprefix('capture: ').rstrip('.')}.", "Run it as root: sudo invoke capture.")
    return done.stdout
