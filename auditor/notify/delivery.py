"""Sends a message to Apprise addresses, or a sign of life to a URL: in a process of its own, which is ended when its time is up.

The addresses are secrets (they hold tokens and passwords): they go through a pipe, and nothing that is said here or
there quotes them. What Apprise, a name server or a slow peer does costs at most the deadline.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from auditor.redaction import Secret

DEADLINE = 20.0
"""Seconds for all addresses together, retries included."""
PAUSES = (1.0, 3.0)
"""Seconds before the second and the third attempt."""
_SAID = {
    "refused": "could not be delivered",
    "unknown": "is not an address that Apprise understands",
    "late": "was not delivered in time",
    "stopped": "was interrupted",
}


def send(addresses: Sequence[Secret], title: str, body: str, *, deadline: float = DEADLINE) -> list[str | None]:
    """For each address None where it took the message, else what went wrong in words."""
    job = {"kind": "notice", "title": title, "body": body, "addresses": [one.reveal() for one in addresses]}
    return _run(job, len(addresses), deadline)


def ping(url: Secret, *, deadline: float = DEADLINE) -> str | None:
    """Asks for a URL once it can be reached, and does not follow where it points; what went wrong, or None."""
    if urlsplit(url.reveal()).scheme not in {"http", "https"}:
        return "is not an http or https address"
    return _run({"kind": "ping", "addresses": [url.reveal()]}, 1, deadline)[0]


def _run(job: dict[str, Any], count: int, deadline: float) -> list[str | None]:
    if not count:
        return []
    given = json.dumps({**job, "pauses": PAUSES}).encode()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "auditor.notify.sender"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)},
        start_new_session=True,
    )
    otherwise = "late"
    try:
        said, _ = process.communicate(given, timeout=deadline)
        otherwise = "refused"
    except subprocess.TimeoutExpired:
        said = _end(process)
    except KeyboardInterrupt:  # the report is still to be printed
        said, otherwise = _end(process), "stopped"
    finally:
        if process.returncode is None:
            _end(process)
    return _read(said, count, otherwise)


def _end(process: subprocess.Popen[bytes]) -> bytes:
    """Ends the process with all it started; what it had said by then."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def _read(said: bytes, count: int, otherwise: str) -> list[str | None]:
    results: list[str | None] = [_SAID[otherwise]] * count
    for line in said.decode("ascii", "replace").splitlines():
        number, _, word = line.partition(" ")
        if number.isdigit() and int(number) < count:
            results[int(number)] = None if word == "ok" else _SAID.get(word, _SAID["refused"])
    return results
