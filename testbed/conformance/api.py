"""A client of the engine's API over its unix socket."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from testbed.errors import EngineRefused

_DEADLINE = 60.0  # seconds; a daemon that was just started answers when it is ready


@dataclass(frozen=True, slots=True)
class Api:
    """An engine's API, in its newest version; `log` is the file with the engine's output."""

    path: Path
    log: Path

    def get(self, path: str) -> Any:
        """Return the engine's answer to GET; raise EngineRefused if it does not answer."""
        return self._json(self._request("GET", path))

    def post(self, path: str, wish: dict[str, Any] | None = None) -> Any:
        """Return the engine's answer to POST; raise EngineRefused with its message if it refuses."""
        return self._json(self._request("POST", path, json.dumps(wish or {}).encode(), "application/json"))

    def send(self, path: str, archive: bytes) -> None:
        """Send a tar archive to the engine; raise EngineRefused if it does not accept the archive."""
        answer = self._request("POST", path, archive, "application/x-tar")
        for line in answer.splitlines():
            if problem := json.loads(line).get("error"):
                raise EngineRefused(f"the engine refused an image: {problem}.")

    def _request(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> bytes:
        connection = HTTPConnection("engine")
        try:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(_DEADLINE)
            connection.sock.connect(str(self.path))
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise EngineRefused(f"the engine does not answer ({error}): {self._last_words()}") from error
        finally:
            connection.close()
        if response.status >= 400:
            said = self._json(answer).get("message", answer.decode())
            raise EngineRefused(f"the engine refused {method} {path}: {said}.")
        return answer

    @staticmethod
    def _json(answer: bytes) -> Any:
        return json.loads(answer) if answer.strip() else {}

    def _last_words(self) -> str:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return lines[-1] if lines else "it said nothing."
