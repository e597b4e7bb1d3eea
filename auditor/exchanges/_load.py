"""Finds a connector by the id of its exchange. The only place that turns a name into a module."""

from __future__ import annotations

import importlib
from typing import cast

from auditor.exchanges import _venue
from auditor.exchanges._base import Connector
from auditor.exchanges._funds import Funds


def connector(exchange: str) -> Connector | None:
    """The connector of an exchange that has a venue file; None for a venue without an API."""
    name = _venue.load(exchange).connector
    return cast("Connector", importlib.import_module(f"auditor.exchanges.{name}")) if name else None


def funds(connector: Connector) -> Funds | None:
    """How a connector shows what an account holds; None where it reads nothing of the kind."""
    found: Funds | None = getattr(connector, "funds", None)
    return found
