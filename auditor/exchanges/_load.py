"""Finds a connector by the id of its exchange. The only place that turns a name into a module."""

from __future__ import annotations

import importlib
from typing import cast

from auditor.exchanges import _venue
from auditor.exchanges._base import Connector


def connector(exchange: str) -> Connector | None:
    """The connector of an exchange that has a venue file; None for a venue without an API."""
    name = _venue.load(exchange).connector
    return cast("Connector", importlib.import_module(f"auditor.exchanges.{name}")) if name else None
