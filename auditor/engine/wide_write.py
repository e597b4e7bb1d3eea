"""The outcomes of very many subjects as Parquet: a row an account, and one for each subject that fails or is unknown.

Nothing personal and no whole public id is written.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

from auditor.engine import wide_bits
from auditor.engine.evaluate import IDENTITY, refused
from auditor.engine.wide import Wide
from auditor.engine.wide_score import name_of
from auditor.engine.wide_tally import LONGEST
from auditor.model.facts import LISTS, catalogue
from auditor.model.normalise import short_id
from auditor.model.report import Outcome
from auditor.model.rule import Rule
from auditor.redaction import printable, shortened


def write(wide: Wide) -> list[Path]:
    """Files `accounts`, with a score and an outcome a rule, and one a list. Raises OSError."""
    spelled = "".join(
        f", {_outcome(wide, rule, '', number, 'pass')} AS {name_of(rule)}" for number, rule in wide.every()
    )
    _mask(wide, "judged", ("account", "exchange"))
    written = [
        _copy(
            wide,
            "accounts",
            f"SELECT shown_account AS account, shown_exchange AS exchange, low, high, grade, coverage, "  # noqa: S608
            f"incomplete{spelled} FROM (SELECT * FROM judged ORDER BY doc)",
        )
    ]
    for scope, key in LISTS.items():
        if not wide.rules[scope]:
            continue
        texts = [name for name in IDENTITY[scope] if catalogue()[f"{scope}.{name}"].kind == "text"]
        _mask(wide, f"outcome_{scope}", texts)
        names = "".join(f', o."shown_{name}" AS "{name}"' for name in IDENTITY[scope])
        said = "".join(
            f", {_outcome(wide, rule, 'o.', number, 'beside')} AS {name_of(rule)}"
            for number, rule in wide.numbered[scope].items()
        )
        some = " OR ".join(f"o.fail_{word} | o.open_{word} <> 0" for word in wide_bits.words(wide.numbered[scope]))
        query = (
            f"SELECT shown_account AS account, shown_exchange AS exchange, o.unseen{names}{said} "  # noqa: S608
            f"FROM outcome_{scope} o JOIN judged USING (doc) WHERE {some}"
        )
        written.append(_copy(wide, key, query))
    return written


def _outcome(wide: Wide, rule: Rule, prefix: str, number: int, third: str) -> str:
    """What a rule says of a row by its words: those that fail, those that are open and a `third` kind."""
    named = {"pass": Outcome.PASS, "beside": Outcome.NOT_APPLICABLE}
    said = {"fail": Outcome.FAIL, "open": wide.open_(rule), third: named.pop(third)}
    cases = [f"WHEN {wide_bits.said(kind, number, prefix)} THEN '{one.value}'::outcome" for kind, one in said.items()]
    (rest,) = named.values()
    return f"CASE {' '.join(cases)} ELSE '{rest.value}'::outcome END"


def _copy(wide: Wide, table: str, query: str) -> Path:
    """Raises OSError, InputError."""
    import duckdb

    path = wide.folder / f"{table}.parquet"
    place = str(path).replace("'", "''")
    try:
        wide.connection.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet)")
    except duckdb.IOException as error:
        raise OSError(
            errno.EIO, printable(str(error).partition("\n")[0].replace(str(wide.folder), "it"), limit=160)
        ) from None
    except duckdb.Error as error:
        raise refused(error) from None
    return path


def _mask(wide: Wide, table: str, names: Sequence[str]) -> None:
    """Rewrites the texts that may hold an address, a number or a whole public id; few do."""
    for name in names:
        column = f'"shown_{name}"'
        odd = f"contains({column}, '@') OR contains({column}, '+') OR length({column}) > {LONGEST}"
        odd = f"length({column}) > 11" if name == "masked_id" else odd
        found = wide.connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {odd}")  # noqa: S608
        while batch := found.fetchmany(10_000):
            shown = [_shown(name, text) for (text,) in batch]
            wide.connection.cursor().execute(
                f"UPDATE {table} SET {column} = m.shown FROM (SELECT unnest($1) AS given, unnest($2) AS shown) m "  # noqa: S608
                f"WHERE {column} = m.given",
                [[text for (text,) in batch], shown],
            )


def _shown(name: str, text: str) -> str:
    return short_id(text) if name == "masked_id" else shortened(text, limit=LONGEST)
