"""The number of cases that a processor runs in a second under pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from testbed.bench.figures import Throughput
from testbed.errors import TestbedError

_PASSED = re.compile(r"^(\d+) passed in ", re.MULTILINE)


def throughput(folder: Path) -> Throughput:
    """Run all cases of a folder, one process for each processor; raise TestbedError unless all pass."""
    cores = len(os.sched_getaffinity(0))
    options = ["-q", "-p", "no:cacheprovider", "--numprocesses", str(cores)]
    began = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", str(folder), *options], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    passed = _PASSED.search(finished.stdout)
    if finished.returncode or passed is None:
        raise TestbedError(f"the cases in {folder} did not all pass.", f"See why with `invoke test --path {folder}`.")
    return Throughput(int(passed[1]), seconds, cores)
