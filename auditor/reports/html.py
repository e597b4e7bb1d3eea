"""The report as one HTML file: no script, no network, every text escaped by the template engine.

The template holds the words, `_wording` and `_view` the sentences and groups. A text reaches the page only through
`_finalize`, which makes hidden characters visible before autoescape sees it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from auditor.reports import _view, _wording, _words
from auditor.reports._numbers import number, percent, times

if TYPE_CHECKING:
    from jinja2 import Environment

    from auditor.model.report import AccountReport, Report, Score

_FULL_ACCOUNTS, _LONGEST_TABLE, _LONGEST_LIST = 50, 500, 50
"""What a browser still opens well: 10,000 accounts in full would be hundreds of megabytes."""


def render(report: Report, *, min_coverage: float = 0.5) -> bytes:
    """UTF-8 HTML. An account whose coverage (0..1) is under `min_coverage` gets no letter and leads with its questions."""
    from markupsafe import Markup

    environment = _environment()
    style = environment.get_template("style.css.j2").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    page = environment.get_template("report.html.j2").render(
        report=report,
        floor=min_coverage,
        style=Markup(style),  # noqa: S704  (our own file, nothing is filled into it)
        policy=Markup(policy),  # noqa: S704  (its quotes must stay as the hash has them)
    )
    return page.encode()


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("auditor.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        w=_wording,
        words=_words,
        view=_view,
        span=_span,
        percent=percent,
        times=times,
        keys=_keys,
        addresses=_addresses,
        full=_FULL_ACCOUNTS,
        most=_LONGEST_LIST,
        longest=_LONGEST_TABLE,
    )
    return environment


def _finalize(value: Any) -> Any:
    """What the template prints: finished markup as it is, anything else as visible text. A None is a fault of the template."""
    if hasattr(value, "__html__"):
        return value
    if value is None:
        raise TypeError("the template prints a None")
    return _words.prose(str(value))


def _span(score: Score) -> tuple[str, str]:
    """Start and breadth of the score's interval on a bar of 100, never too thin to be seen."""
    assert score.low is not None
    assert score.high is not None
    breadth = max(score.high - score.low, 1.0)
    return number(min(score.low, 100 - breadth)), number(breadth)


def _keys(account: AccountReport) -> list[dict[str, str]]:
    """Rows of the key table: column title -> text."""
    return [_key(row) for row in (account.inventory.api_keys or ())[:_LONGEST_TABLE]]


def _key(row: dict[str, Any]) -> dict[str, str]:
    able = _view.abilities(row)
    return {
        "Key": f"{_said(row, 'label', 'without a label')} ({_said(row, 'masked_id', 'id unknown')})",
        "Can": ", ".join(able["yes"]) or "nothing that was seen",
        "Not known whether it can": ", ".join(able["unknown"]) or "-",
        "Bound to addresses": _view.tri_state(row.get("ip_bound")),
        "Enabled": _view.tri_state(row.get("enabled")),
        "Created": _said(row, "created_at"),
        "Last used": "never" if row.get("never_used") is True else _said(row, "last_used_at"),
        "Recognised": _view.tri_state(row.get("owner_recognised")),
    }


def _addresses(account: AccountReport) -> list[dict[str, str]]:
    """Rows of the address table: column title -> text."""
    rows = (account.inventory.addresses or ())[:_LONGEST_TABLE]
    return [
        {
            "Address": _said(row, "label", "without a label"),
            "Asset": _said(row, "asset"),
            "Network": _said(row, "network"),
            "State": _said(row, "state"),
            "Created": _said(row, "created_at"),
            "Recognised": _view.tri_state(row.get("owner_recognised")),
        }
        for row in rows
    ]


def _said(row: dict[str, Any], name: str, otherwise: str = "unknown") -> str:
    value = row.get(name)
    return otherwise if value is None or value == "" else _words.label(str(value))
