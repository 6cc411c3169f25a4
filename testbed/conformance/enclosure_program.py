"""An engine's programs in processes, mounts and control groups of their own.

Run as a program in the network namespace of the host, with a plan in JSON: files to write (`files`, below /run), the
search path (`path`) and what to start (`steps`: its words and the socket on which it will listen). Says `ready` and the
process id of the first process inside when all listen, or what went wrong. Ends when its standard input is closed: with
the process that started it, however that ends.

The first process inside takes all others with it, and with them go mounts and network namespaces; the one that stays
outside then removes the control groups, which would stay for ever. It imports nothing of the testbed, to start fast.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

RUN = Path("/run/engine")
_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWPID = 0x20000, 0x02000000, 0x20000000  # include/uapi/linux/sched.h
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 0x20, 0x1000, 0x4000, 0x40000  # linux/mount.h
_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_DEADLINE = 60.0  # seconds, for a program to listen, and for the kernel to let go of a control group
_OWN_IN_ETC = ("docker", "containerd")  # what is configured there is the machine's engine, and an old one writes there

_libc = ctypes.CDLL(None, use_errno=True)
_never = tempfile.TemporaryFile  # noqa: S108
