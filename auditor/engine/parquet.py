"""Parquet files that are taken by their columns: looked at as a copy of our own, and shared out.

Whatever is not plain in one is for the careful look, row by row, and refused there if it has to be.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from auditor.engine import files
from auditor.engine.columns import FILE, Range
from auditor.engine.plain import OddError, Plain, plain, quoted

_WORTH_A_LOOK = 2**20
"""Bytes. Of a smaller file the rows are soon read."""
_WORTH_A_RANGE, _MOST_A_RANGE = 32 * 2**20, 192 * 2**20
_BYTES_A_VALUE = 10
_NEAR = 0.3
"""Of a share."""
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
            connection.execute("SET TimeZone = 'UTC'")
            files.unpacked(connection, path)
            connection.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(files.literal(copy))})")  # noqa: S608
            seen = plain(connection.execute("SELECT * FROM rows LIMIT 0"))
            _check(connection, path, seen.wrong)
            return list(_shared(connection, copy, seen))
    copy.unlink(missing_ok=True)
    return []


def _check(connection: Any, path: Path, queries: Iterable[str]) -> None:
    """Raises OddError where a value is not plain, InputError where the whole is far more than it looks."""
    unpacked = 0
    for query in queries:
        wrong, held = connection.execute(query).fetchone()
        unpacked += held
        if unpacked > files.most_unpacked(path):
            raise files.bomb(path)
        if wrong:
            raise OddError


def _shared(connection: Any, copy: Path, seen: Plain) -> Iterator[Range]:
    """As far as it is worth one for each processor, and in bounded ranges; their bounds are those of groups of rows if some
    are near, because a group is unpacked by each range that has a row of it.
    """
    groups = connection.execute(_GROUPS, [files.literal(copy)]).fetchall()
    ends = list(accumulate(rows for rows, _ in groups))
    if not ends or not ends[-1]:
        return
    size = _BYTES_A_VALUE * sum(values for _, values in groups)
    shares = max(1, min(size // _WORTH_A_RANGE, files.processors()), -(-size // _MOST_A_RANGE))
    each = ends[-1] / shares
    bounds = {0, ends[-1]}
    for number in range(1, shares):
        near = min(ends, key=lambda end: abs(end - each * number))
        bounds.add(near if abs(near - each * number) < each * _NEAR else round(each * number))
    exchanges = {name for (name,) in connection.execute("SELECT DISTINCT account.exchange FROM rows").fetchall()}
    for first, end in pairwise(sorted(bounds)):
        yield Range(
            folder=copy.parent, first=first, count=end - first, given=seen.given, stated=set(seen.stated),
            exchanges=exchanges, longest=max(1, size * (end - first) // ends[-1]), nulls=True,
        )  # fmt: skip
