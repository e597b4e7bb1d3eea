"""Writes the golden files anew from the invented report: `python -m tests.reports.golden`. Read the diff before it is kept."""

from pathlib import Path

from auditor.reports import FORMATS
from tests.reports.invented import report

FOLDER = Path(__file__).parents[1] / "golden"


def rendered():
    """File name -> bytes, of every format as it comes out without options."""
    return {f"report.{form.suffix}": form.render(report()) for form in FORMATS.values()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in rendered().items():
        (FOLDER / name).write_bytes(content)
