"""Snapshots, as an invented exchange would show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from auditor.identity import Identity
from auditor.model.evidence import Snapshot

WHO = Identity.ephemeral("history")
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def on(day: int) -> datetime:
    return DAY + timedelta(days=day)


def key(name: str, **facts: Any) -> dict[str, Any]:
    """A key whose id is shown, bound to one address and allowed to read."""
    return {
        "fingerprint": WHO.fingerprint("api_key", name),
        "masked_id": f"…{name[:4]}",
        "label": name,
        "can_read": True,
        "can_trade": False,
        "can_trade_derivatives": False,
        "can_transfer": False,
        "can_withdraw": False,
        "can_manage": False,
        "permissions": ["read"],
        "ip_bound": True,
        "ip_allowlist": ["192.0.2.7"],
        "enabled": True,
        "created_at": "2025-01-01T00:00:00Z",
        **facts,
    }


def address(name: str, **facts: Any) -> dict[str, Any]:
    return {"fingerprint": WHO.fingerprint("address", name), "label": name, "asset": "BTC", "network": "btc", **facts}


def seen(day: int, keys: list[dict[str, Any]] | None = None, *, complete: bool | None = True, **more: Any) -> Snapshot:
    """A snapshot of the account `main`."""
    account: dict[str, Any] = {"name": "main", "exchange": "okx", **more.pop("account", {})}
    if complete is not None and keys is not None:
        account["key_inventory_complete"] = complete
    if more.get("addresses") is not None:
        account["addresses_complete"] = True
    return Snapshot(collected_at=on(day), account=account, api_keys=keys, **more)
