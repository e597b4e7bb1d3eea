"""One HTTP request over connections that are kept, by the parts of aiohttp that its session is made of.

A session adds redirects, a second attempt, cookies, proxies, credentials of the environment and hooks to each request, all
to be switched off, at a fifth of what the request costs. Here there is nothing to switch off. Knows no venue and no reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp
    from aiohttp.abc import AbstractResolver

_OURS = {"User-Agent": "exchange-auditor", "Accept-Encoding": "identity"}


class Connections:
    """At most `limit` connections at a time. To be made and closed within one event loop."""

    def __init__(self, limit: int, resolver: AbstractResolver) -> None:
        import aiohttp
        import yarl

        self._request, self._url = aiohttp.ClientRequest, yarl.URL  # an import for each request would be felt
        self._pool = aiohttp.TCPConnector(limit=limit, resolver=resolver, enable_cleanup_closed=False)
        self._loop = asyncio.get_running_loop()
        self._no_timeout = aiohttp.ClientTimeout(total=None)  # whoever asks has a deadline of its own

    async def close(self) -> None:
        await self._pool.close()

    async def send(self, verb: str, url: str, headers: Mapping[str, str], body: str | None) -> aiohttp.ClientResponse:
        """The head of the answer; its body is still to be read, as it was sent, or the answer to be closed. `url` is
        escaped already.

        Raises what aiohttp raises: ClientError, OSError.
        """
        request = self._request(
            verb, self._url(url, encoded=True), headers={**_OURS, **headers}, data=body, loop=self._loop, traces=[]
        )
        held = await self._pool.connect(request, traces=[], timeout=self._no_timeout)
        answer, begun = None, False
        try:
            assert held.protocol is not None
            held.protocol.set_response_params(read_until_eof=True, auto_decompress=False)
            answer = await request.send(held)
            await answer.start(held)
            begun = True
        finally:
            if not begun:  # nobody else is to get a connection on which something is still to come
                if answer is not None:
                    answer.close()
                held.close()
        return answer
