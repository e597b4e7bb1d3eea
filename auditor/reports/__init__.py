"""One module a format: `render(report, ...) -> bytes`. Pure: the same Report gives the same bytes.

Knows the formats by name and imports a module when it is used. Knows nothing of how a Report comes about.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from auditor.model.report import Report
from auditor.values import frozen


@frozen
class Format:
    """A report format. `suffix` is that of its files; `takes` names the options its module understands."""

    name: str
    suffix: str
    module: str
    takes: frozenset[str] = frozenset()
    splits: str | None = None
    """The module whose `pages` make several files of a long report."""
    apart: bool = False
    """It splits only where the output is a folder: a file that was named is one file."""

    def render(self, report: Report, **options: Any) -> bytes:
        """The report as UTF-8 bytes. Options this format does not take are left out, so that one call serves all."""
        module = importlib.import_module(f"auditor.reports.{self.module}")
        rendered: bytes = module.render(report, **self._taken(options))
        return rendered

    def chunks(self, report: Report, **options: Any) -> Iterable[bytes]:
        """The same in pieces, for a report that is longer than memory; a format that is short in any case is one piece."""
        module = importlib.import_module(f"auditor.reports.{self.module}")
        written: Callable[..., Iterable[bytes]] | None = getattr(module, "chunks", None)
        return written(report, **self._taken(options)) if written else [self.render(report, **options)]

    def files(
        self, report: Report, name: str, *, folder: bool = False, **options: Any
    ) -> Iterator[tuple[str, Iterable[bytes]]]:
        """The report as the file `name`, and the files that belong to it by their paths from the same folder.

        Each file has to be taken whole before the next one. `folder` says that the output is one.
        """
        if self.splits is None or (self.apart and not folder):
            yield name, self.chunks(report, **options)
            return
        module = importlib.import_module(f"auditor.reports.{self.splits}")
        yield from module.pages(report, name, **self._taken(options))

    def _taken(self, options: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in self.takes}


_TEXT_OPTIONS = frozenset({"width", "colour", "verbose", "limit", "min_coverage"})

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format(name="text", suffix="txt", module="text", takes=_TEXT_OPTIONS),
        Format(name="json", suffix="json", module="json", splits="_parts", apart=True),
        Format(name="html", suffix="html", module="html", takes=frozenset({"min_coverage"}), splits="html"),
        Format(name="markdown", suffix="md", module="markdown", takes=frozenset({"min_coverage", "verbose"})),
        Format(name="sarif", suffix="sarif", module="sarif"),
        Format(name="ocsf", suffix="ocsf.json", module="ocsf"),
        Format(name="csv", suffix="csv", module="csv"),
        Format(name="junit", suffix="junit.xml", module="junit", takes=frozenset({"junit_unknown"})),
        Format(name="prometheus", suffix="prom", module="prometheus"),
        Format(name="checklist", suffix="checklist.md", module="checklist", takes=frozenset({"framework", "signer"})),
    )
}
