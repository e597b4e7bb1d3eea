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
    splits: bool = False
    """A long report becomes several files where there is a folder to put them."""

    def render(self, report: Report, **options: Any) -> bytes:
        """The report as UTF-8 bytes. Options this format does not take are left out, so that one call serves all."""
        module = importlib.import_module(f"auditor.reports.{self.module}")
        rendered: bytes = module.render(report, **self._taken(options))
        return rendered

    def files(self, report: Report, name: str, **options: Any) -> dict[str, bytes]:
        """The report as the file `name`, and the files that belong to it by their paths from the same folder."""
        if not self.splits:
            return {name: self.render(report, **options)}
        module = importlib.import_module(f"auditor.reports.{self.module}")
        written: dict[str, bytes] = module.files(report, name, **self._taken(options))
        return written

    def _taken(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.takes}


_TEXT_OPTIONS = frozenset({"width", "colour", "verbose", "limit", "min_coverage"})

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(name="text", suffix="txt", module="text", takes=_TEXT_OPTIONS),
        Format(name="json", suffix="json", module="json"),
        Format(name="html", suffix="html", module="html", takes=frozenset({"min_coverage"}), splits=True),
        Format(name="markdown", suffix="md", module="markdown", takes=frozenset({"min_coverage", "verbose"})),
        Format(name="sarif", suffix="sarif", module="sarif"),
        Format(name="ocsf", suffix="ocsf.json", module="ocsf"),
        Format(name="csv", suffix="csv", module="csv"),
        Format(name="junit", suffix="junit.xml", module="junit", takes=frozenset({"junit_unknown"})),
        Format(name="prometheus", suffix="prom", module="prometheus"),
        Format(name="checklist", suffix="checklist.md", module="checklist", takes=frozenset({"framework", "signer"})),
    )
}
