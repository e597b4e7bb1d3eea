"""Token buckets: how fast one venue is asked, so that the owner's own bot on the same key or address is never starved."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from auditor.exchanges._base import Limit

SHARE = 0.25
"""The part of a documented limit that an audit may use. The rest belongs to whatever else runs on the key or address."""


@dataclass(slots=True)
class Bucket:
    """`limit` times SHARE: tokens come back evenly, and at most one window's share can be spent at once."""

    limit: Limit
    tokens: float = field(init=False)
    at: float = field(default=0.0)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.tokens = self.burst

    @property
    def burst(self) -> float:
        return max(1.0, self.limit.calls * SHARE)

    @property
    def rate(self) -> float:
        return self.limit.calls * SHARE / self.limit.seconds

    async def take(self) -> None:
        """Waits for a token, first come first served."""
        async with self.lock:
            now = asyncio.get_running_loop().time()
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate) if self.at else self.burst
            self.at = now
            if self.tokens < 1:
                wait = (1 - self.tokens) / self.rate
                await asyncio.sleep(wait)
                self.tokens, self.at = 1.0, now + wait
            self.tokens -= 1


class Budgets:
    """The buckets of one venue: one per endpoint and key, or per endpoint alone where the venue counts per address."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], Bucket] = {}

    async def take(self, name: str, limit: Limit, key: str) -> None:
        place = (name, key if limit.per == "key" else "")
        await self._buckets.setdefault(place, Bucket(limit)).take()
