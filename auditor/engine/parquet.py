"""Parquet files that are taken by their columns: looked at as a copy of our own, and shared out.

Whatever is not plain in one is for the careful look, row by row, and refused there if it has to be.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from auditor.engine import files, parquet_rows
from auditor.engine.columns import FILE, Range
from auditor.engine.plain import OddError, Plain, plain, quoted

_WORTH_A_LOOK = 2**20
"""Bytes. Of a smaller file the rows are soon read."""
_WORTH_A_RANGE, _MOST_A_RANGE = 32 * 2**20, 192 * 2**20
_BYTES_A_VALUE = 10
_NEAR = 0.05
"""Of a share."""
_SKIPPED = 0.1
"""What a row costs that is only passed over, in its group, by a range that begins behind it; a row costs 1."""
_GROUPS = """
SELECT any_value(row_group_num_rows), sum(num_values) FROM parquet_metadata($1) GROUP BY row_group_id ORDER BY row_group_id
"""


def ranges(path: Path, folder: Path) -> list[Range]:
    """The documents of a file, shared out; `folder` gets a copy of it. None of them where it needs a careful look."""
    import duckdb

    copy = folder / FILE
    with suppress(OSError, duckdb.Error, ValueError, OddError):
        if path.stat().st_size < _WORTH_A_LOOK:
            return []
        shutil.copyfile(path, copy)
        with duckdb.connect() as connection:
            connection.execute("SET threads = 1")  # a processor a range
            parquet_rows.unpacked(connection, path)
            read = "SELECT * FROM read_parquet($1, hive_partitioning = false) LIMIT 0"
            seen = plain(connection.execute(read, [files.literal(copy)]))
            found = [
                Range(
                    folder=folder,
                    first=first,
                    count=end - first,
                    longest=size,
                    given=seen.given,
                    stated=set(seen.stated),
                    nulls=True,
                )
                for first, end, size in _bounds(connection, copy)
            ]
            with ThreadPoolExecutor(files.processors()) as crew:
                unpacked = sum(crew.map(partial(_check, connection, seen), found))
        if unpacked > parquet_rows.most_unpacked(path):
            raise parquet_rows.bomb(path)
        return found
    copy.unlink(missing_ok=True)
    return []


def _check(database: Any, seen: Plain, part: Range) -> int:
    """Bytes of text. Raises OddError where a value is not plain."""
    unpacked = 0
    with database.cursor() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP VIEW rows AS SELECT * FROM {part.rows(quoted(files.literal(part.file)))}")  # noqa: S608
        for table, look in seen.looks.items():
            [(wrong, held)] = connection.execute(look.query(table)).fetchall()
            unpacked += held
            if wrong:
                raise OddError
        part.exchanges = {
            name for (name,) in connection.execute("SELECT DISTINCT account.exchange FROM rows").fetchall()
        }
    return unpacked


def _bounds(connection: Any, copy: Path) -> Iterator[tuple[int, int, int]]:
    """The first row, the one after the last, and bytes: as many ranges as it is worth for each processor, and bounded ones.
    They end with groups of rows if some are near, because a group is unpacked by each range that has a row of it.
    """
    groups = connection.execute(_GROUPS, [files.literal(copy)]).fetchall()
    ends = list(accumulate(rows for rows, _ in groups))
    if not ends or not ends[-1]:
        return
    size = _BYTES_A_VALUE * sum(values for _, values in groups)
    shares = max(1, min(size // _WORTH_A_RANGE, files.processors()), -(-size // _MOST_A_RANGE))
    each = ends[-1] / shares
    found = {0, ends[-1]}
    for place in (each * number for number in range(1, shares)):
        near = min((0, *ends), key=lambda end: abs(end - place))
        group = max(end for end in (0, *ends) if end <= place)
        later = _SKIPPED * (place - group) * (1 - place / ends[-1])
        found.add(near if abs(near - place) < each * _NEAR else round(place + later))
    for first, end in pairwise(sorted(found)):
        yield first, end, max(1, size * (end - first) // ends[-1])
