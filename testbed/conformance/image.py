"""The image of all containers: a static busybox, as a tar archive that `docker import` accepts."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

NAME, TAG = "testbed-web", "1"
COMMAND = ("/bin/busybox", "httpd", "-f", "-p", "80", "-h", "/www")


def archive(busybox: str) -> bytes:
    """Return the archive: busybox, and a page for its HTTP server."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        _add(tar, "bin/busybox", Path(busybox).read_bytes(), 0o755)
        _add(tar, "www/index.html", b"hello\n", 0o644)
    return written.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
