"""The process that sends: reads one job from stdin, says `NUMBER ok|refused|unknown` for each address as it is done.

Run by `delivery` alone. It says nothing else: what a library would print or log may quote an address.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

_MOST_AT_ONCE = 16
_SECONDS = 5.0
"""How long one attempt may wait for a peer."""


def main() -> None:
    job = json.load(sys.stdin.buffer)
    one = _notice(job) if job["kind"] == "notice" else _ping

    def done(number: int) -> None:
        word = _tried(one, job["addresses"][number], job["pauses"])
        sys.stdout.write(f"{number} {word}\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(_MOST_AT_ONCE) as pool:
        list(pool.map(done, range(len(job["addresses"]))))


def _tried(one: Callable[[str], str], address: str, pauses: Sequence[float]) -> str:
    word = one(address)
    for pause in pauses:
        if word != "refused":
            break
        time.sleep(pause)
        word = one(address)
    return word


def _notice(job: dict[str, Any]) -> Callable[[str], str]:
    import logging

    import apprise

    logging.disable(logging.CRITICAL)
    asset = apprise.AppriseAsset(
        app_id="auditor", app_desc="", app_url="", image_url_mask="", image_url_logo="", http_redirects=False
    )

    def one(address: str) -> str:
        service = apprise.Apprise(asset=asset)
        if not service.add(address):
            return "unknown"
        sent = service.notify(title=job["title"], body=job["body"], body_format=apprise.NotifyFormat.TEXT)
        return "ok" if sent else "refused"

    return one


def _ping(url: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        return "unknown"
    request = urllib.request.Request(url, headers={"User-Agent": "auditor"})  # noqa: S310  (checked above)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS):
            return "ok"
    except (OSError, ValueError):
        return "refused"


class _Stay(urllib.request.HTTPRedirectHandler):
    """A sign of life goes where its owner said and nowhere else."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


if __name__ == "__main__":
    main()
