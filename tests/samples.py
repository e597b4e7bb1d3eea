"""Writes `sample_reports/` anew: `python -m tests.samples`. A test fails when they are stale.

The reports of the twin's accounts and of three incidents, in every format; an index; and pictures, where Chromium is there.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from auditor import demo, pipeline
from auditor.engine.intake import Evidence
from auditor.identity import Identity
from auditor.model.report import Report
from auditor.reports import FORMATS, _wording

FOLDER = Path(__file__).resolve().parent.parent / "sample_reports"
EVIDENCE = FOLDER / "evidence"
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TWIN = "twin"
TERMINAL_OF, DRAWN_OF, LINES = "INC-2024-okx-sms-api", "INC-2018-simswap-b", 46

_INDEX = """# Sample reports

Made by `make samples`: of the accounts that the embedded twin serves (`auditor demo`), and of three invented accounts that are
set up as those of known incidents were, before they lost their money. Nobody's accounts. A test fails when they are stale.

"""


def reports() -> dict[str, Report]:
    """Every sample by the name of its folder."""
    found = {TWIN: demo.run(NOW)}
    rules = pipeline.rule_files(None)
    for path in sorted(EVIDENCE.glob("*.yaml")):
        run = pipeline.Run(rules=rules, identity=Identity.ephemeral("samples"), now=NOW, sample=True)
        with Evidence(NOW) as evidence:
            evidence.add_files([path])
            found[path.stem] = pipeline.judge(evidence, run)
    return found


def written(samples: dict[str, Report]) -> dict[str, bytes]:
    """Every file but the pictures, by its path in the folder."""
    files = {
        f"{name}/report.{form.suffix}": form.render(report, width=80, colour=False, min_coverage=0.5)
        for name, report in samples.items()
        for form in FORMATS.values()
    }
    return files | {"README.md": index(samples).encode()}


def index(samples: dict[str, Report]) -> str:
    """The short index: a picture of each, what it says in one sentence, and its files."""
    parts = [_INDEX]
    for name, report in samples.items():
        said = _wording.verdict(report.accounts[0], 0.5)
        links = " · ".join(f"[{form.name}]({name}/report.{form.suffix})" for form in FORMATS.values())
        evidence = "" if name == TWIN else f" · [evidence](evidence/{name}.yaml)"
        parts.append(
            f"## {name}\n\n![First screen of the report](pictures/{name}.png)\n\n{said}\n\n{links}{evidence}\n\n"
        )
    parts.append(
        "## On a telephone, and in a terminal\n\n"
        "![The report at 390 pixels, dark](pictures/narrow-dark.png) ![The text report](pictures/terminal.png)\n"
    )
    return "".join(parts)


def story(name: str) -> str:
    """What a sample is about: the comment that its evidence begins with."""
    if name == TWIN:
        return "Four accounts at four exchanges, read over real HTTP with real signatures. What `auditor demo` prints."
    lines = (EVIDENCE / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))


def pictures(samples: dict[str, Report]) -> dict[str, bytes]:
    """PNG by file name: the first screen of each report, one narrow and dark, and the text report in a terminal."""
    from tests.browser.chromium import launched

    with launched() as browser, tempfile.TemporaryDirectory() as folder:

        def shot(content: bytes, width: int, height: int, scheme: str = "light", at: str | None = None) -> bytes:
            path = Path(folder) / "page.html"
            path.write_bytes(content)
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=0.75
            )
            page.goto(path.as_uri())
            if at:
                page.evaluate("at => document.querySelector(at).scrollIntoView()", at)
            taken: bytes = page.screenshot()
            page.close()
            return taken

        pages = {name: FORMATS["html"].render(report) for name, report in samples.items()}
        text = FORMATS["text"].render(samples[TERMINAL_OF], width=80, colour=True).decode()
        return {
            **{f"{name}.png": shot(page, 1200, 1000) for name, page in pages.items()},
            "narrow-dark.png": shot(pages[TERMINAL_OF], 390, 1000, "dark", "#account-1"),
            "ways.png": shot(pages[DRAWN_OF], 1200, 900, "light", "#account-1-paths"),
            "terminal.png": shot(terminal(text), 760, 40 + 21 * LINES),
        }


def terminal(text: str) -> bytes:
    """The first lines of a coloured text as a page that looks like a terminal."""
    import re

    colours = {"31": "#ff7b72", "33": "#e3b341", "36": "#79c0ff", "35": "#d2a8ff", "32": "#7ee787"}

    def styled(found: re.Match[str]) -> str:
        codes = found[1].split(";")
        colour = next((colours[code] for code in codes if code in colours), "inherit")
        return f'<span style="color:{colour};font-weight:{700 if "1" in codes else 400};opacity:{0.7 if "2" in codes else 1}">{found[2]}</span>'

    shown = escape("\n".join(text.split("\n")[:LINES]), quote=False)
    shown = re.sub(r"\x1b\[([\d;]*)m(.*?)\x1b\[0m", styled, shown)
    style = "margin:0;padding:20px;background:#0d1117;color:#e6edf3;font:14px/21px 'DejaVu Sans Mono',monospace"
    return f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;background:#0d1117"><pre style="{style}">{shown}</pre>'.encode()


def main() -> None:
    samples = reports()
    files = written(samples)
    for kept in FOLDER.rglob("report.*"):
        if kept.relative_to(FOLDER).as_posix() not in files:
            kept.unlink()
    for name, content in files.items():
        (FOLDER / name).parent.mkdir(exist_ok=True)
        (FOLDER / name).write_bytes(content)
    from tests.browser.chromium import NAMES

    if not any(map(shutil.which, NAMES)):
        sys.stderr.write("Chromium is not installed: the pictures stay as they are\n")
        return
    (FOLDER / "pictures").mkdir(exist_ok=True)
    for name, content in pictures(samples).items():
        (FOLDER / "pictures" / name).write_bytes(content)


if __name__ == "__main__":
    main()
