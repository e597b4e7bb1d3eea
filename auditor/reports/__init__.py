"""One module a format: `render(report, ...) -> bytes`. Pure: the same Report gives the same bytes.

Knows the formats by name and imports a module when it is used. Knows nothing of how a Report comes about.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from auditor.model.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A report format. `suffix` is that of its files; `takes` names the options its module understands."""

    name: str
    suffix: str
    module: str
    takes: frozenset[str] = frozenset()

    def render(self, report: Report, **options: Any) -> bytes:
        """The report as UTF-8 bytes. Options this format does not take are left out, so that one call serves all."""
        module = importlib.import_module(f"auditor.reports.{self.module}")
        taken = {name: value for name, value in options.items() if name in self.takes}
        rendered: bytes = module.render(report, **taken)
        return rendered


_TEXT_OPTIONS = frozenset({"width", "colour", "verbose", "limit", "min_coverage"})

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(name="text", suffix="txt", module="text", takes=_TEXT_OPTIONS),
        Format(name="json", suffix="json", module="json"),
        Format(name="html", suffix="html", module="html", takes=frozenset({"min_coverage"})),
    )
}
