"""Free SQL from a stranger: a hundred attempts to read a file, reach the network, load code, change evidence, or take
the machine's memory and time. All of them get an error or a harmless answer.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.engine import _questioned, question
from auditor.engine.intake import Evidence
from auditor.errors import UsageError
from auditor.model.facts import SCOPES, format_time

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
CANARY = "CANARYcontent0123456789"
DOCUMENT = {
    "schema": "auditor/evidence/1",
    "collected_at": "2026-11-20T10:00:00Z",
    "account": {"name": "main", "exchange": "okx", "login_weakest_factor": "sms"},
    "api_keys": [
        {"label": "bot", "can_withdraw": True, "created_at": "2025-01-03T00:00:00Z", "ip_allowlist": ["198.51.100.7"]},
        {"label": "'; DROP TABLE api_key; --"},
    ],
}
FINDING = {
    "id": "0123456789abcdef",
    "account": "main",
    "rule": "auth-sms-weakest",
    "severity": "critical",
    "outcome": "fail",
    "subject_type": "account",
    "subject": "main",
    "message": "it's <b>bad</b>",
    "on_path": True,
    "waived": False,
}


@pytest.fixture
def evidence():
    with Evidence(NOW).add([DOCUMENT]) as made:
        yield made


def ask(sql, evidence):
    return question.ask(sql, evidence, [FINDING], {"okx": {}})


def test_a_question_is_answered(evidence):
    answer = ask(
        "SELECT account_name, label, can_withdraw, created_at, ip_allowlist FROM api_key ORDER BY 2 DESC", evidence
    )
    assert answer.columns == ("account_name", "label", "can_withdraw", "created_at", "ip_allowlist")
    assert answer.rows[0] == ("main", "bot", True, "2025-01-03 00:00:00", ["198.51.100.7"])
    assert answer.rows[1][1:] == ("'; DROP TABLE api_key; --", None, None, None)


def test_findings_and_derived_facts_are_there(evidence):
    joined = ask(
        "SELECT f.rule, f.on_path, a.login_accepts_sms FROM finding f JOIN account a ON a.account_name = f.account -- end",
        evidence,
    )
    assert joined.rows == (("auth-sms-weakest", "true", True),)


def test_what_could_not_be_seen_is_no_row(evidence):
    assert ask("SELECT count(*) AS n FROM address", evidence).rows == ((0,),)


def test_no_row_still_has_its_columns(evidence):
    answer = ask("SELECT label, label FROM api_key WHERE FALSE", evidence)
    assert (len(answer.columns), answer.rows) == (2, ())


def test_too_many_rows_are_cut_and_said_so(evidence):
    answer = ask("SELECT * FROM range(20000)", evidence)
    assert (len(answer.rows), answer.more) == (question.MOST_ROWS, True)


@pytest.mark.parametrize("name", ["asked", "ASKED", "asked_", "asked_____", "row", "found", "spelled"])
def test_no_name_of_a_column_stands_for_the_row(scene, name):
    assert told(scene, f"SELECT {{'a': 1}} AS \"{name}\", 2 AS b")["rows"] == [[{"a": 1}, 2]]
    assert told(scene, f'SELECT 1 AS "{name}"')["rows"] == [[1]]


@pytest.mark.parametrize(
    "value", ["repeat('9', 5000)::BIGNUM", "concat(repeat('[', 200000), repeat(']', 200000))::JSON"]
)
def test_what_is_beyond_a_reader_is_said(scene, value):
    assert "too long" in told(scene, f"SELECT {value}")["error"]
    assert len(told(scene, f"SELECT CAST({value} AS VARCHAR)")["rows"][0][0]) >= 5000


def test_tables_are_named(scene):
    for table, columns in question.tables().items():
        assert told(scene, f"SELECT * FROM {table} LIMIT 0")["columns"] == columns
    assert set(question.tables()) == {*SCOPES, "finding"}


FILES = [
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_csv_auto('{file}', sample_size = 1)",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_json_auto('{file}')",
    "SELECT * FROM read_ndjson_objects('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM parquet_schema('{file}')",
    "SELECT * FROM '{file}'",
    "FROM '{file}'",
    'SELECT * FROM "{file}"',
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table('{file}')",
    "SELECT (SELECT content FROM read_text('{file}')) AS x",
    "WITH t AS (SELECT * FROM read_text('{file}')) SELECT * FROM t",
    "SELECT * FROM api_key UNION ALL BY NAME SELECT * FROM read_text('{file}')",
    "SELECT * FROM sqlite_scan('{file}', 'x')",
    "SELECT * FROM postgres_scan('host=127.0.0.1 port={port}', 'public', 'x')",
    "SELECT * FROM iceberg_scan('{folder}')",
    "SELECT * FROM delta_scan('{folder}')",
    "SELECT * FROM st_read('{file}')",
    "SELECT * FROM read_xlsx('{file}')",
    "SELECT * FROM read_duckdb('{file}')",
    "SELECT getenv('CANARY')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/dev/stdin')",
    "SELECT * FROM read_text('file://{file}')",
    "SELECT parse_path('{file}'), * FROM read_text(concat('{fol', 'der}/canary'))",
]
NETWORK = [
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM 'http://127.0.0.1:{port}/x.parquet'",
    "SELECT * FROM read_parquet('s3://bucket/x')",
    "SELECT * FROM read_text('hf://datasets/a/b')",
    "SELECT * FROM read_json('https://127.0.0.1:{port}/')",
    "SELECT http_get('http://127.0.0.1:{port}/')",
    "SELECT * FROM mysql_query('127.0.0.1', 'SELECT 1')",
]
STATEMENTS = [
    "DROP TABLE api_key",
    "DROP TABLE IF EXISTS finding",
    "DELETE FROM api_key",
    "UPDATE api_key SET can_withdraw = FALSE",
    "UPDATE finding SET outcome = 'pass'",
    "INSERT INTO api_key (label) VALUES ('x')",
    "TRUNCATE api_key",
    "MERGE INTO api_key USING finding ON TRUE WHEN MATCHED THEN DELETE",
    "CREATE TABLE x AS SELECT 1",
    "CREATE VIEW x AS SELECT 1",
    "CREATE MACRO now() AS 1",
    "CREATE FUNCTION f(a) AS a",
    "CREATE SCHEMA x",
    "CREATE SEQUENCE s",
    "CREATE TYPE t AS ENUM ('a')",
    "CREATE SECRET (TYPE s3)",
    "CREATE INDEX i ON api_key (label)",
    "ALTER TABLE api_key RENAME TO x",
    "ALTER TABLE api_key DROP COLUMN label",
    "COPY api_key TO '{folder}/out.csv'",
    "COPY (SELECT 1) TO '/dev/stdout'",
    "COPY api_key FROM '{file}'",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}'",
    "ATTACH '{folder}/x.db'",
    "ATTACH ':memory:' AS y",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "INSTALL x FROM 'http://127.0.0.1:{port}'",
    "FORCE INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/x.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET enable_external_access = true",
    "SET GLOBAL lock_configuration = false",
    "SET memory_limit = '100GB'",
    "SET temp_directory = '{folder}'",
    "SET VARIABLE x = 1",
    "RESET ALL",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "PRAGMA profiling_output = '{folder}/profile'",
    "CALL pragma_version()",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "BEGIN TRANSACTION",
    "ROLLBACK",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "EXPLAIN ANALYZE SELECT 1",
    "WITH gone AS (DELETE FROM api_key RETURNING *) SELECT * FROM gone",
    "WITH more AS (INSERT INTO api_key SELECT * FROM api_key RETURNING *) SELECT * FROM more",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{file}'')'))",
    "PRAGMA json_execute_serialized_sql('DROP TABLE api_key')",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE api_key",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/out.csv'",
    "SELECT 1) AS asked; DROP TABLE api_key; SELECT * FROM (SELECT 1",
    "SELECT 1) AS a, (SELECT content FROM read_text('{file}')",
    "SELECT 1 /* */ ; -- \nDROP TABLE finding",
    ".read {file}",
    ".shell id",
    "",
    "   ",
    "-- nothing",
    ";",
    "\x00",
    "SELECT '\x00'; DROP TABLE api_key",
]
HARMLESS = [
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_extensions()",
    "SELECT * FROM pragma_database_list()",
    "SELECT current_setting('home_directory')",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM information_schema.tables",
    "SELECT $1",
    "SELECT ?",
    "SELECT 'NaN'::DOUBLE, 'inf'::DOUBLE",
    "SELECT now(), current_date, TIMESTAMPTZ '2026-01-01 00:00:00+02'",
    "SELECT * FROM finding WHERE message LIKE '%<b>%'",
]
ATTEMPTS = [*FILES, *NETWORK, *STATEMENTS, *HARMLESS]
LOOP = """
import json, sys
from auditor.engine import _questioned
request = json.loads(sys.stdin.buffer.readline())
connection = _questioned._loaded(request)
_questioned._give_up()
for line in sys.stdin.buffer:
    print(json.dumps(_questioned._answer(connection, json.loads(line)), default=str), flush=True)
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A file, a variable and a listener that nobody should reach, and one child that is asked everything."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "canary").write_text(f"a,b\n{CANARY},1\n")
    with socket.create_server(("127.0.0.1", 0)) as listener, Evidence(NOW).add([DOCUMENT]) as evidence:
        listener.settimeout(0)
        findings = evidence.folder / "findings.jsonl"
        findings.write_text(json.dumps(FINDING) + "\n")
        request = {
            "parts": [part.told() for part in evidence.parts],
            "now": format_time(NOW),
            "venues": {"okx": {}},
            "findings": str(findings),
        }
        with subprocess.Popen(
            [sys.executable, "-c", LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "CANARY": CANARY, "PYTHONPATH": str(Path(__file__).parents[2])},
        ) as child:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            yield folder, listener, evidence, child
            child.stdin.close()


def told(scene, sql):
    folder, listener, _, child = scene
    port = listener.getsockname()[1]
    filled = sql.replace("{file}", str(folder / "canary")).replace("{folder}", str(folder)).replace("{port}", str(port))
    child.stdin.write(json.dumps(filled).encode() + b"\n")
    child.stdin.flush()
    return json.loads(child.stdout.readline())


def test_there_are_a_hundred():
    assert len(ATTEMPTS) >= 100
    assert len(set(ATTEMPTS)) == len(ATTEMPTS)


@pytest.mark.parametrize("sql", ATTEMPTS)
def test_an_attempt_gets_nowhere(scene, sql):
    folder, listener, evidence, _ = scene
    before = list(evidence.documents())
    answer = told(scene, sql)
    assert CANARY not in json.dumps(answer)
    if sql not in HARMLESS:
        assert set(answer) == {"error"} or set(answer) == {"error", "hint"}, answer
    assert sorted(path.name for path in folder.iterdir()) == ["canary"]
    assert list(evidence.documents()) == before
    with pytest.raises(BlockingIOError):
        listener.accept()
    kept = told(scene, "SELECT (SELECT count(*) FROM api_key), (SELECT outcome FROM finding)")
    assert kept["rows"] == [[2, "fail"]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 4000000000)",
        "SELECT list(i) FROM range(500000000) t(i)",
        "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range + b.range = -1",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
        "WITH RECURSIVE t(s) AS (SELECT 'xx' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
        "SELECT * FROM " + ", ".join(f"range(1000) t{number}" for number in range(12)) + " ORDER BY ALL",
        "SELECT repeat('x', 10000) FROM range(9000)",
    ],
)
def test_memory_and_time_are_bounded(evidence, sql, monkeypatch):
    monkeypatch.setattr(question, "PATIENCE", 4.0)
    started = time.monotonic()
    with pytest.raises(UsageError, match="refused"):
        ask(sql, evidence)
    assert time.monotonic() - started < 60


def test_a_question_without_end_is_not_even_put(evidence):
    with pytest.raises(UsageError, match="characters"):
        ask("SELECT " + "1 + " * 100_000 + "1", evidence)


def test_findings_are_made_for_those_who_name_them(evidence):
    """To judge is dear. Where they were not made there is no such table, which is not an empty one."""

    def never():
        raise AssertionError("nobody asked")
        yield

    answer = question.ask("SELECT count(*) AS n FROM api_key", evidence, never(), {})
    assert answer.rows == ((2,),)
    for dynamic in ("SELECT * FROM query('FROM fin' || 'ding')", "SELECT * FROM query_table('fin' || 'ding')"):
        with pytest.raises(UsageError, match="refused"):
            question.ask(dynamic, evidence, never(), {})
    for named in ("select count(*) from FINDING", 'select count(*) from "finding"'):
        assert question.ask(named, evidence, [FINDING] * 25_000, {}).rows == ((25_000,),)


def test_what_it_took_to_load_is_not_held_against_a_question():
    """The system counts a process's time from its beginning."""
    program = """
import time
import duckdb
from auditor.engine import _questioned
_questioned.SECONDS = 1
connection = duckdb.connect()
while time.process_time() < 2.5:
    pass
_questioned._give_up()
print(_questioned._answer(connection, "SELECT 1 AS one")["rows"])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert (done.returncode, done.stdout) == (0, "[[1]]\n")


def test_the_child_sees_no_variable_of_ours(evidence, monkeypatch):
    seen = {}
    real = subprocess.run

    def spy(*args, **options):
        seen.update(options["env"])
        return real(*args, **options)

    monkeypatch.setenv("OKX_SECRET", CANARY)
    monkeypatch.setattr(question.subprocess, "run", spy)
    ask("SELECT 1", evidence)
    assert set(seen) == {"PYTHONPATH"}


@given(st.text(max_size=200))
@settings(max_examples=40)
def test_any_text_is_answered_or_refused(scene, sql):
    answer = told(scene, sql)
    assert ("error" in answer) != ("rows" in answer)
    assert len(answer.get("rows", ())) <= _questioned.MOST_ROWS
