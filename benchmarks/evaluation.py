"""All shipped rules over a million keys, validation included, against what only decodes the same bytes.

Run as `python -m benchmarks.evaluation lines FOLDER` it is one measurement in a process of its own.
"""

from __future__ import annotations

import atexit
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from auditor import census
from auditor.engine.intake import Evidence
from auditor.engine.wide_tally import Tally, tally
from auditor.model.report import Outcome
from auditor.pipeline import rule_files
from benchmarks import typed

EXCHANGES = ("binance", "bybit", "kraken", "okx")
KEYS, KEYS_EACH, MANY_EACH = 1_000_000, 5, 100
"""Keys, and keys an account: of a customer, and of a desk."""
NOW = datetime(2026, 11, 20, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a process took: seconds by the clock and of processors, its children's included, and megabytes it held."""

    clock: float
    processor: float
    megabytes: int


def against_msgspec(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """All shipped rules, from lines to outcomes, against msgspec decoding the same lines as strictly: by the clock, on
    the same processors, of which msgspec can use one.
    """
    return _costs("lines", keys, each).clock / _costs("msgspec", keys, each).clock


def written_against_msgspec(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """With the tables written as Parquet, as `auditor evaluate --outcomes` leaves them."""
    return _costs("lines-written", keys, each).clock / _costs("msgspec", keys, each).clock


def against_msgspec_on_a_processor(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """The same as processor time, where it does not matter how many there are."""
    return _costs("lines", keys, each).processor / _costs("msgspec", keys, each).processor


def against_pyarrow(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """From a Parquet file of the same documents, against pyarrow reading it."""
    return _costs("parquet", keys, each).clock / _costs("pyarrow", keys, each).clock


def written_against_pyarrow(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """The same with tables written."""
    return _costs("parquet-written", keys, each).clock / _costs("pyarrow", keys, each).clock


def gigabytes(keys: int = KEYS, each: int = KEYS_EACH) -> float:
    """The most memory that any process of a whole census holds: read, judged, scored and written."""
    return _costs("lines-written", keys, each).megabytes / 1000


def _costs(what: str, keys: int, each: int) -> Cost:
    """One of the measurements below in a process of its own: nothing is warm and nothing is left over."""
    place = _files(keys, each)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation", what, str(place)], check=True, capture_output=True, text=True
    )
    return Cost(**json.loads(done.stdout))


def _msgspec(place: Path) -> None:
    decode = typed.decoder().decode
    with (place / "evidence.jsonl").open("rb") as lines:
        for line in lines:
            decode(line)


def _pyarrow(place: Path) -> None:
    import pyarrow.parquet

    assert pyarrow.parquet.read_table(place / "evidence.parquet").num_rows


def _judged(path: Path) -> None:
    """To what each rule says of each subject, and to scores: in tables, as `auditor evaluate --outcomes` has them."""
    with Evidence(NOW).add_files([path]) as evidence, tempfile.TemporaryDirectory() as place:
        _check(census.merged(census.each(evidence, rule_files(None), Path(place), partial(tally, floor=0.5))))


def _census(path: Path) -> None:
    """The same, and written."""
    with tempfile.TemporaryDirectory() as folder, Evidence(NOW).add_files([path]) as evidence:
        _check(census.take(evidence, rule_files(None), Path(folder) / "out", floor=0.5))


def _check(tally: Tally) -> None:
    assert tally.rules["key-trade-without-ip-binding"][Outcome.FAIL] > 0
    assert tally.subjects["api_key"] in {KEYS_EACH * tally.accounts, MANY_EACH * tally.accounts}


_WHAT: dict[str, Callable[[Path], None]] = {
    "msgspec": _msgspec,
    "pyarrow": _pyarrow,
    "lines": lambda place: _judged(place / "evidence.jsonl"),
    "parquet": lambda place: _judged(place / "evidence.parquet"),
    "lines-written": lambda place: _census(place / "evidence.jsonl"),
    "parquet-written": lambda place: _census(place / "evidence.parquet"),
}


def main() -> None:
    """One measurement in this process, its costs as JSON on stdout. What is imported is not part of it."""
    what, place = sys.argv[1:]
    if what == "pyarrow":
        import pyarrow.parquet  # noqa: F401
    import duckdb  # noqa: F401

    begun, used = time.perf_counter(), _processors()
    _WHAT[what](Path(place))
    clock, processor = time.perf_counter() - begun, _processors() - used
    print(json.dumps({"clock": clock, "processor": processor, "megabytes": _peak()}))


def _peak() -> int:
    """The most that this process held. What `getrusage` says may be its parent's."""
    told = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(told.split()[1]) // 1024


def _processors() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


@cache
def _files(keys: int, each: int) -> Path:
    """Evidence of so many keys, as lines and as Parquet; gone with this process."""
    import duckdb

    folder = Path(tempfile.mkdtemp(prefix="auditor-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    chance = random.Random(1)
    lines, table = folder / "evidence.jsonl", folder / "evidence.parquet"
    with lines.open("w") as stream:
        for number in range(keys // each):
            stream.write(json.dumps(_document(number, chance, each)) + "\n")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_json('{lines}')) TO '{table}' (FORMAT parquet)")
    return folder


def _document(number: int, chance: random.Random, each: int) -> dict[str, Any]:
    """An account as a connector writes one, with a quarter of its facts hidden."""
    account = {
        "kind": "main",
        "kyc_level": 2,
        "login_weakest_factor": chance.choice(["sms", "totp", "phishing_resistant"]),
        "step_up_weakest_factor": chance.choice(["sms", "totp", "phishing_resistant"]),
        "withdrawal_allowlist_enabled": chance.random() < 0.5,
        "key_inventory_complete": chance.random() < 0.5,
    }
    return {
        "schema": "auditor/evidence/1",
        "collected_at": "2026-11-20T00:00:00Z",
        "account": {
            "name": f"account-{number}",
            "exchange": chance.choice(EXCHANGES),
            **_seen(account, chance),
        },
        "api_keys": [_seen(_key(place, chance), chance) for place in range(each)],
        "problems": [],
    }


def _key(place: int, chance: random.Random) -> dict[str, Any]:
    trades = chance.random() < 0.5
    return {
        "fingerprint": f"{chance.getrandbits(128):032x}",
        "masked_id": "…0a1b",
        "label": f"bot-{place}",
        "kind": "hmac",
        "permissions": ["read_only", "trade"] if trades else ["read_only"],
        "can_read": True,
        "can_trade": trades,
        "can_trade_derivatives": False,
        "can_transfer": trades,
        "can_withdraw": chance.random() < 0.1,
        "can_manage": False,
        "ip_bound": chance.random() < 0.5,
        "ip_allowlist": ["198.51.100.20", "203.0.113.0/24"],
        "enabled": True,
        "created_at": f"202{chance.randrange(3, 7)}-0{chance.randrange(1, 10)}-03T00:00:00Z",
        "never_expires": False,
        "is_audit_key": place == 0,
    }


def _seen(facts: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if chance.random() < 0.75}


if __name__ == "__main__":
    main()
