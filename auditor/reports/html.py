"""The report as one HTML file, or as an index and one file an account where one file would be too long to open.

No file asks for anything outside itself. A text reaches a page only through `_finalize`, which makes hidden characters
visible before the template engine escapes it. The templates in `page/` hold the words; other modules sort and draw.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources
from itertools import accumulate
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from auditor.reports import _chains, _facts, _goals, _graph, _svg, _tables, _view, _wording, _words
from auditor.reports._numbers import exact, number, percent, times

if TYPE_CHECKING:
    from jinja2 import Environment

    from auditor.model.report import AccountReport, Report

FULL_ACCOUNTS, FULL_FINDINGS = 20, 2_000
"""What one page of several accounts holds in full; a longer run is split where there is a folder to put the files."""

_PAGES = 1_000
_LONGEST_INDEX, _LONGEST_TABLE, _LONGEST_LIST = 5_000, 500, 50


def render(report: Report, *, min_coverage: float = 0.5) -> bytes:
    """UTF-8 HTML, one file. An account whose coverage (0..1) is under `min_coverage` gets no letter and leads with its
    questions. Of a long run the worst accounts stand in full, the others in the table.
    """
    page = _page(report, min_coverage)
    accounts = _in_full(report)
    return page(accounts=accounts, link=lambda place: f"#account-{place}" if place <= len(accounts) else None)


def files(report: Report, name: str, *, min_coverage: float = 0.5) -> dict[str, bytes]:
    """The same as `pages`, all at once."""
    return {path: b"".join(chunks) for path, chunks in pages(report, name, min_coverage=min_coverage)}


def pages(report: Report, name: str, *, min_coverage: float = 0.5) -> Iterator[tuple[str, Iterable[bytes]]]:
    """The report as files beside each other: `name`, and for a long run one more an account in a folder named after it."""
    if len(_in_full(report)) == len(report.accounts):
        yield name, [render(report, min_coverage=min_coverage)]
        return
    folder = f"{name.removesuffix('.html')}-accounts"
    page = _page(report, min_coverage)
    own = min(len(report.accounts), _PAGES)
    index = page(
        accounts=(), link=lambda place: f"{quote(folder)}/{place:05}.html" if place <= own else None, split=True
    )
    yield name, [index]
    for place, account in enumerate(report.accounts[:own], 1):
        yield f"{folder}/{place:05}.html", [page(accounts=(account,), back=f"../{quote(name)}")]


def _in_full(report: Report) -> Sequence[AccountReport]:
    """The worst accounts that one page can hold; the very worst always."""
    sums = accumulate(len(account.findings) for account in report.accounts[:FULL_ACCOUNTS])
    return report.accounts[: max(1, sum(found <= FULL_FINDINGS for found in sums))]


def _page(report: Report, floor: float) -> Callable[..., bytes]:
    """What writes a page of `report`: its accounts in full, what the table links to, and the page to go back to."""
    from markupsafe import Markup

    folder = resources.files("auditor.reports") / "page"
    style, script = ((folder / part).read_text(encoding="utf-8") for part in ("style.css", "page.js"))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"style-src {_digest(style)}",
            f"script-src {_digest(script)}",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    template = _environment().get_template("report.html.j2")

    def page(
        *,
        accounts: Sequence[AccountReport],
        link: Callable[[int], str | None] | None = None,
        back: str | None = None,
        split: bool = False,
    ) -> bytes:
        return template.render(
            report=report,
            accounts=accounts,
            link=link,
            back=back,
            split=split,
            floor=floor,
            style=Markup(style),  # noqa: S704  (our own file, nothing is filled into it)
            script=Markup(script),  # noqa: S704  (our own file, nothing is filled into it)
            policy=Markup(policy),  # noqa: S704  (its quotes must stay as the hashes have them)
        ).encode()

    return page


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def drawn(picture: Callable[..., str]) -> Callable[..., Markup]:
        return lambda *given, **named: Markup(picture(*given, **named))  # noqa: S704  (escaped where it is drawn)

    environment = Environment(
        loader=PackageLoader("auditor.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        w=_wording,
        words=_words,
        view=_view,
        goals=_goals,
        chains=_chains,
        facts=_facts,
        tables=_tables,
        exact=exact,
        number=number,
        percent=percent,
        times=times,
        most=_LONGEST_LIST,
        longest=_LONGEST_TABLE,
        indexed=_LONGEST_INDEX,
        pages=_PAGES,
        interval=drawn(_svg.interval),
        coverage=drawn(_svg.coverage),
        path=drawn(_graph.path),
        trend=drawn(_svg.trend),
    )
    return environment


def _finalize(value: Any) -> Any:
    """What a template prints: finished markup as it is, anything else as visible text, without blanks at its ends.

    A None is a fault of the template.
    """
    if hasattr(value, "__html__"):
        return value
    if value is None:
        raise TypeError("the template prints a None")
    return _words.prose(str(value))
