"""A process that reads one span of a file of evidence into tables (see `intake`), and says on stdout what it found."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from auditor.engine import lines
from auditor.engine.files import Span
from auditor.engine.tables import Part
from auditor.errors import InputError
from auditor.model.facts import parse_time


def main() -> None:
    """Arguments: the file, the first byte and the one after the last, the folder to write in, and the moment."""
    gc.disable()  # there are no cycles in what is read, and much to look through
    path, start, end, folder, moment = sys.argv[1:]
    now = parse_time(moment)
    assert now is not None
    part = Part(folder=Path(folder))
    try:
        faults = lines.read(Path(path), Span(start=int(start), end=int(end)), part, now)
    except InputError as error:
        faults = list(error.faults)
    told = {**part.told(), "faults": [(fault.line, fault.message, fault.hint) for fault in faults]}
    sys.stdout.write(json.dumps(told))
