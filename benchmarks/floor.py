"""The bare HTTP client that we use, sending to the same server: nothing signed, nothing checked, nothing kept of the answers."""

from __future__ import annotations

import asyncio
import json
import time

import aiohttp

KEY = {"OK-ACCESS-KEY": "000000", "OK-ACCESS-SIGN": "0" * 44, "OK-ACCESS-PASSPHRASE": "0" * 12}
PATH = "/api/v5/asset/currencies"


def requests_a_core(url: str, requests: int, connections: int) -> float:
    """GETs for each second of this process's CPU time, `connections` at a time, each decoded."""
    return asyncio.run(_measured(url, requests, connections))


async def _measured(url: str, requests: int, connections: int) -> float:
    held = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=held, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await _sent(session, url, connections, connections)  # opens the connections
        begun = time.process_time()
        await _sent(session, url, requests, connections)
        return requests / (time.process_time() - begun)


async def _sent(session: aiohttp.ClientSession, url: str, requests: int, at_once: int) -> None:
    numbers = iter(range(requests))

    async def sender() -> None:
        for number in numbers:
            headers = {**KEY, "OK-ACCESS-TIMESTAMP": f"{number:06d}", "OK-ACCESS-KEY": f"{number:06d}"}
            async with session.get(url + PATH, headers=headers, allow_redirects=False) as response:
                json.loads(await response.read())

    await asyncio.gather(*[sender() for _ in range(at_once)])
