"""A process that appends so many records and says the number of each once it is on the disk."""

from __future__ import annotations

import sys
from pathlib import Path

from auditor.history import store
from tests.history.conftest import append

if __name__ == "__main__":
    url, key, count = sys.argv[1:]
    for _ in range(int(count)):
        sys.stdout.write(f"{append(store.open_store(url, key=Path(key)))[0].seq}\n")
        sys.stdout.flush()
