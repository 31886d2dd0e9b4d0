"""A client of the public API, as a model author would write one. In: a server's address and a token; out: JSON."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

TIMEOUT_S = 120


class Refused(Exception):
    """The server said no; the message is what it said."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """Talks to one server as one author."""

    url: str
    token: str

    def get(self, path: str) -> Any:
        """GET /api/v1/<path>."""
        answer = requests.get(f"{self.url}/api/v1/{path}", headers=self._headers(), timeout=TIMEOUT_S)
        return _read(answer)

    def post(self, path: str) -> Any:
        """POST /api/v1/<path>, which needs no more than its address."""
        answer = requests.post(f"{self.url}/api/v1/{path}", headers=self._headers(), timeout=TIMEOUT_S)
        return _read(answer)

    def submit(self, fields: Mapping[str, Any], file: Path) -> str:
        """POST a submission; returns its id. Sent again, the same file makes no second one."""
        what = " ".join(str(fields[name]) for name in ("release", "model", "sha256"))
        headers = self._headers() | {"Idempotency-Key": hashlib.sha256(what.encode()).hexdigest()}
        address = f"{self.url}/api/v1/submissions/"
        with file.open("rb") as content:
            answer = requests.post(
                address, data=fields, files={"file": (file.name, content)}, headers=headers, timeout=TIMEOUT_S
            )
        return str(_read(answer)["id"])

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}"}


def _read(answer: requests.Response) -> Any:
    if not answer.ok:
        raise Refused(f"{answer.request.method} {answer.url} was answered {answer.status_code}: {answer.text[:2000]}")
    return answer.json()
