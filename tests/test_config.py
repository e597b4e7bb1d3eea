"""The configuration loader against hostile, broken and merely mistaken files."""

import copy
import json
import string
import time
import traceback
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from auditor import config, credentials, endpoints
from auditor.errors import InputError, UsageError

VENUES = {
    "okx": ("apiKey", "secret", "password"),
    "kraken": ("apiKey", "secret"),
    "hyperliquid": ("walletAddress",),
    "robinhood": (),
}
CANARY = "CaNaRy7c9e1f-Zq8w"
GOOD = {
    "version": 1,
    "accounts": [
        {
            "name": "main-okx",
            "exchange": "okx",
            "credentials": {"apiKey": "env:OKX_API_KEY", "secret": "file:keys/okx", "password": "keyring:auditor/okx"},
            "endpoint": "http://127.0.0.1:8123",
            "attestations": "attest/okx.yaml",
            "tags": ["personal", "team:ops"],
            "expected_keys": {"count": 3, "as_of": "2026-11-01"},
            "include": ["withdrawals", "balances"],
        },
        {
            "name": "k",
            "exchange": "kraken",
            "credentials": [
                {"apiKey": "env:A", "secret": "cmd:pass show k"},
                {"apiKey": "env:B", "secret": "vault:k/secret"},
            ],
        },
        {"name": "r", "exchange": "robinhood"},
    ],
    "rules": ["rules/", "~/more"],
    "shipped_rules": False,
    "waivers": "waivers.yaml",
    "identity_key": "file:id.key",
    "history": "postgresql://db.example/auditor",
    "notify": ["json://localhost:9000/hook", "env:HOOK"],
}
SCHEMA = json.loads((Path(config.__file__).parent / "config.schema.json").read_text())


def load(path, **options):
    return config.load(path, **{"venues": VENUES, "environ": {"HOME": "/home/nobody"}, **options})


def written(folder, text):
    path = folder / "auditor.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_text(document):
    """JSON with a space after every colon and comma is YAML that any reader takes the same way."""
    return json.dumps(document)


def refused(folder, text, **options):
    with pytest.raises(InputError) as caught:
        load(written(folder, text), **options)
    assert caught.value.exit_code == 2
    return caught.value


def everything_shown(error):
    """All a person, a log or a debugger that walks the chain would see of an error."""
    seen, shown = error, []
    while seen is not None:
        shown += [str(seen), repr(seen), repr(vars(seen)), *traceback.format_exception(seen)]
        seen = seen.__cause__ or seen.__context__
    faults = getattr(error, "faults", ())
    return "\n".join([*shown, *(f"{fault} {fault.hint} {fault!r}" for fault in faults)])


def test_a_full_file_is_read_whole(tmp_path):
    read = load(written(tmp_path, as_text(GOOD)))
    okx, kraken, robinhood = read.accounts
    assert okx.credentials == (
        {"apiKey": "env:OKX_API_KEY", "secret": f"file:{tmp_path}/keys/okx", "password": "keyring:auditor/okx"},
    )
    assert okx.endpoint == "http://127.0.0.1:8123"
    assert okx.attestations == tmp_path / "attest/okx.yaml"
    assert okx.expected_keys == config.ExpectedKeys(count=3, as_of=date(2026, 11, 1))
    assert [block["apiKey"] for block in kraken.credentials] == ["env:A", "env:B"]
    assert robinhood.credentials == () and robinhood.attestations is None
    assert read.rules == (tmp_path / "rules", Path("/home/nobody/more"))
    assert (read.shipped_rules, read.waivers) == (False, tmp_path / "waivers.yaml")
    assert read.identity_key == f"file:{tmp_path}/id.key"
    assert read.history == "postgresql://db.example/auditor"
    assert read.notify == ("json://localhost:9000/hook", "env:HOOK")


def test_the_example_of_the_contract_is_read(tmp_path):
    text = """
version: 1
accounts:
  - name: main-okx                      # unique; [a-z0-9-]
    exchange: okx
    credentials:
      apiKey: env:OKX_API_KEY           # env: file: keyring: vault: cmd:
      secret: env:OKX_SECRET
      password: env:OKX_PASSPHRASE
    endpoint: http://127.0.0.1:8123
    attestations: attest/main-okx.yaml
    tags: [personal]
    expected_keys: {count: 3, as_of: 2026-11-01}
rules: [rules/]
waivers: waivers.yaml
identity_key: file:~/.config/auditor/identity.key
history: sqlite:///~/.local/share/auditor/history.db
notify: ["json://localhost:9000/hook"]
"""
    read = load(written(tmp_path, text))
    assert read.identity_key == "file:/home/nobody/.config/auditor/identity.key"
    assert read.history == "sqlite:////home/nobody/.local/share/auditor/history.db"


def test_defaults_follow_xdg(tmp_path):
    path = written(tmp_path, "version: 1\naccounts: [{name: r, exchange: robinhood}]\n")
    plain = load(path)
    assert plain.identity_key == "file:/home/nobody/.config/auditor/identity.key"
    assert plain.history == "sqlite:////home/nobody/.local/share/auditor/history.db"
    assert plain.shipped_rules is True and plain.rules == () and plain.waivers is None
    moved = load(path, environ={"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"})
    assert (moved.identity_key, moved.history) == ("file:/c/auditor/identity.key", "sqlite:////d/auditor/history.db")
    relative = load(path, environ={"HOME": "/h", "XDG_CONFIG_HOME": "c"})
    assert relative.identity_key == "file:/h/.config/auditor/identity.key"


def test_attestations_are_found_at_their_usual_place_only_if_there(tmp_path):
    path = written(tmp_path, "version: 1\naccounts: [{name: r, exchange: robinhood}]\n")
    assert load(path).accounts[0].attestations is None
    (tmp_path / "attest").mkdir()
    (tmp_path / "attest/r.yaml").write_text("x")
    assert load(path).accounts[0].attestations == tmp_path / "attest/r.yaml"


def test_every_fault_is_reported_at_once_with_its_line(tmp_path):
    error = refused(
        tmp_path,
        """version: 2
acounts: []
accounts:
  - name: Main OKX
    exchange: okxx
    endpoint: ftp://x
  - name: k
    exchange: kraken
    credentials: {apiKey: env:A}
    tags: [3]
    expected_keys: {count: -1, as_of: yesterday}
  - {name: k, exchange: robinhood, credentials: {apiKey: env:A}}
rules: rules/
shipped_rules: yes
notify: [hello]
""",
    )
    places = {(fault.line, fault.message.split()[0]) for fault in error.faults}
    assert {line for line, _ in places} == {1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15}
    hints = {fault.line: fault.hint for fault in error.faults}
    assert hints[2] == "did you mean accounts?"
    assert hints[5] == "did you mean okx?"
    assert sum(fault.line == 11 for fault in error.faults) == 2
    assert sum("stands 2 times" in fault.message for fault in error.faults) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# only a comment\n",
        "null",
        "[]",
        "3",
        "version: 1",
        "version: 1\naccounts: []\n",
        "version: 1\naccounts: {}\n",
        "version: 1\naccounts: [null]\n",
        "version: true\naccounts: [{name: r, exchange: robinhood}]\n",
        "version: '1'\naccounts: [{name: r, exchange: robinhood}]\n",
        "version: 1\nversion: 1\naccounts: [{name: r, exchange: robinhood}]\n",
        "version: 1\naccounts: [{name: r, exchange: robinhood}]\n---\nversion: 1\n",
        "version: 1\naccounts: [{name: r, exchange",
        "version: 1\naccounts: [{name: &a r, exchange: robinhood}]\n",
        "version: 1\naccounts: [{name: !!python/name:os.system r, exchange: robinhood}]\n",
        "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
        "[" * 5000,
        "{a: " * 200 + "}" * 200,
        b"\x00\x01\x02\xff\xfe",
        b"\xff\xfev\x00e\x00r\x00",
        "version: 1\naccounts: [{name: r, exchange: robinhood}]\nwaivers: ''\n",
        'version: 1\naccounts: [{name: r, exchange: robinhood}]\nwaivers: "a\\0b"\n',
        "version: 1\naccounts: [{name: r, exchange: robinhood, credentials: null}]\n",
        "version: 1\naccounts: [{name: r, exchange: robinhood, expected_keys: {count: 1, as_of: 2026-02-30}}]\n",
        "version: 1\naccounts: [{name: r, exchange: robinhood, expected_keys: {count: true, as_of: 2026-02-03}}]\n",
        "version: 1\naccounts: [{name: 'r\n', exchange: robinhood}]\n",
        'version: 1\naccounts: [{name: "r\\n", exchange: robinhood}]\n',
        "version: 1\naccounts: [{name: " + "r" * 65 + ", exchange: robinhood}]\n",
        "version: 1\naccounts: [{name: ümlaut, exchange: robinhood}]\n",
        "version: 1\naccounts: [{name: r, exchange: [okx]}]\n",
        "version: 1\naccounts: [{name: r, exchange: okx, credentials: []}]\n",
        "version: 1\naccounts: [{name: r, exchange: okx, credentials: {}}]\n",
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, text):
    error = refused(tmp_path, text)
    assert all(fault.file.endswith("auditor.yaml") and fault.message for fault in error.faults)


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path):
    path = tmp_path / "auditor.yaml"
    with path.open("wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(InputError, match="too large"):
        load(path)


def test_a_flood_of_faults_ends_in_time(tmp_path):
    """Guessing what was meant costs more than reading: it stops after the first few hundred."""
    began = time.monotonic()
    assert len(refused(tmp_path, "version: 1\n" + "".join(f"acount{n}: 0\n" for n in range(100_000))).faults) > 100_000
    assert time.monotonic() - began < 30


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load(path)


LITERALS = [
    CANARY,
    f"ENV:{CANARY}",
    f"env:{CANARY}",  # a hyphen is in no variable name
    f"env: {CANARY}",
    f"${{{CANARY}}}",
    f"sk:{CANARY}",
    f"vault:!{CANARY}",
    f"keyring:{CANARY}",
    f'cmd:echo "{CANARY}',
    f"file:\t{CANARY}",
    f"{CANARY}\nenv:X",
    f"env:X\n{CANARY}",
    [CANARY],
    {CANARY: CANARY},
    {"apiKey": CANARY},
]


@pytest.mark.parametrize("literal", LITERALS, ids=repr)
@pytest.mark.parametrize("field", [*credentials.FIELDS, "apikey", "Secret", "api_key"])
@pytest.mark.parametrize("exchange", ["okx", "kraken", "robinhood", "okxx"])
def test_a_literal_secret_is_refused_and_never_shown(tmp_path, capsys, exchange, field, literal):
    accounts = [
        {"name": "a", "exchange": exchange, "credentials": {"apiKey": "env:A", "secret": "env:B", field: literal}}
    ]
    error = refused(tmp_path, as_text({"version": 1, "accounts": accounts}))
    assert CANARY not in everything_shown(error)
    assert CANARY not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "text",
    [
        "credentials: CANARY",
        "credentials: [CANARY]",
        "credentials: [[CANARY]]",
        "credentials:\n      apiKey:CANARY\n      secret:CANARY",
        "credentials: {apiKey:CANARY, secret:CANARY}",
        "credentials: {CANARY: env:A}",
        "credentials: {? CANARY : env:A}",
        "credentials:\n      apiKey: CANARY: CANARY",
        "credentials: {apiKey: 'CANARY",
        "credentials: {apiKey: *CANARY}",
        "credentials: {apiKey: &CANARY x}",
        "credentials: {apiKey: !CANARY x}",
        "credentials: {apiKey: !CANARY!b x}",
        "credentials: {apiKey: @CANARY}",
        'credentials: {apiKey: "\\qCANARY"}',
        "apiKey: CANARY",
        "{apiKey:CANARY}: 1",
        "endpoint: http://user:CANARY@127.0.0.1:1/",
        "endpoint: https://evil.example/CANARY",
        "tags: ['CANARY CANARY']",
        "CANARY: 1",
    ],
)
def test_a_misplaced_secret_is_not_shown_either(tmp_path, text):
    body = f"version: 1\naccounts:\n  - name: a\n    exchange: okx\n    {text.replace('CANARY', CANARY)}\n"
    assert CANARY not in everything_shown(refused(tmp_path, body))


@pytest.mark.parametrize("key", ["identity_key", "history"])
def test_secrets_outside_the_accounts_are_not_shown(tmp_path, key):
    accounts = [{"name": "r", "exchange": "robinhood"}]
    error = refused(tmp_path, as_text({"version": 1, "accounts": accounts, key: CANARY, "notify": [CANARY]}))
    assert len(error.faults) == 2
    assert CANARY not in everything_shown(error)


def test_what_may_hold_a_secret_is_not_in_a_repr(tmp_path):
    document = copy.deepcopy(GOOD)
    document["accounts"][0]["credentials"]["apiKey"] = f"cmd:echo {CANARY}"
    document["history"] = f"postgresql://auditor:{CANARY}@db.example/auditor"
    document["notify"] = [f"tgram://{CANARY}/1"]
    document["identity_key"] = f"cmd:echo {CANARY}"
    read = load(written(tmp_path, as_text(document)))
    assert CANARY not in f"{read!r} {read} {read.accounts!r}"


def test_a_literal_gets_the_line_and_what_to_write_instead(tmp_path):
    error = refused(
        tmp_path,
        f"version: 1\naccounts:\n  - name: a\n    exchange: kraken\n    credentials:\n      apiKey: env:A\n      secret: {CANARY}\n",
    )
    assert [(fault.line, fault.message) for fault in error.faults] == [
        (7, "secret must be a reference; what stands there is not shown")
    ]
    assert "secret: env:KRAKEN_SECRET" in error.faults[0].hint


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"apiKey": "env:A"}, "kraken needs the credential field secret"),
        ({"apiKey": "env:A", "secret": "env:B", "password": "env:C"}, "unknown credential field"),
    ],
)
def test_fields_must_be_those_of_the_exchange(tmp_path, block, message):
    accounts = [{"name": "k", "exchange": "kraken", "credentials": block}]
    error = refused(tmp_path, as_text({"version": 1, "accounts": accounts}))
    assert len(error.faults) == 1 and message in error.message


GOOD_ENDPOINTS = [
    "http://127.0.0.1",
    "http://127.0.0.1:1",
    "http://127.255.0.3:65535/",
    "https://localhost:8443",
    "http://[::1]:8123",
    "http://localhost/okx/v1",
]
BAD_ENDPOINTS = [
    "",
    " http://127.0.0.1",
    "http://127.0.0.1\n",
    "127.0.0.1:80",
    "ftp://127.0.0.1",
    "HTTP://127.0.0.1",
    "http:127.0.0.1",
    "http:///127.0.0.1",
    "http://127.0.0.1@evil.example",
    "http://evil.example@127.0.0.1",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.1.",
    "http://localhost.",
    "http://localhost.evil.example",
    "http://notlocalhost",
    "http://127.0.0.1%2eevil.example",
    "http://127.0.0.1%00",
    "http://127.1",
    "http://127.0.1",
    "http://0127.0.0.1",
    "http://127.0.0.01",
    "http://0177.0.0.1",
    "http://0x7f.0.0.1",
    "http://0x7f000001",
    "http://2130706433",
    "https://2130706433",
    "http://127.0.0.256",
    "http://128.0.0.1",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://169.254.169.254/latest",
    "http://[::]",
    "http://[::2]",
    "http://[::ffff:127.0.0.1]",
    "http://[::1%25eth0]",
    "http://[::1",
    "http://::1",
    "http://127。0。0。1",
    "http://①27.0.0.1",
    "http://lоcalhost",
    "http://ⓛocalhost",
    "http://127.0.0.1:0",
    "http://127.0.0.1:65536",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:080",
    "http://127.0.0.1:",
    "http://127.0.0.1:-1",
    "http://127.0.0.1:8o",
    "http://127.0.0.1:80:80",
    "http://127.0.0.1?x",
    "http://127.0.0.1/?x=1",
    "http://127.0.0.1#x",
    "http://127.0.0.1/../x",
    "http://127.0.0.1/./x",
    "http://127.0.0.1//evil.example",
    "http://127.0.0.1/\\evil.example",
    "http://127.0.0.1\\@evil.example",
    "http://127.0.0.1/a b",
    "http://127.0.0.1/%2e%2e",
    "https://evil.example",
    "https://proxy.example.evil.example",
    "https://xproxy.example",
    "https://proxy.example.",
    "https://proxy.example:444x",
    "http://proxy.example",
    "https://-proxy.example",
    "https://pro..xy.example",
    "https://prоxy.example",
    "https://proxy.example@127.0.0.1",
]


@pytest.mark.parametrize(
    "endpoint",
    [*GOOD_ENDPOINTS, "https://proxy.example", "https://PROXY.example:8443/base", "https://other.example:9443"],
)
def test_endpoints_that_may_be_used(tmp_path, endpoint):
    accounts = [{"name": "r", "exchange": "robinhood", "endpoint": endpoint}]
    allowed = frozenset({"Proxy.Example", "other.example:9443"})
    read = load(written(tmp_path, as_text({"version": 1, "accounts": accounts})), allowed_endpoints=allowed)
    assert read.accounts[0].endpoint == endpoint.rstrip("/")


@pytest.mark.parametrize(
    "endpoint",
    [*BAD_ENDPOINTS, None, 8123, ["http://127.0.0.1"], "https://other.example", "https://other.example:9444"],
)
def test_endpoints_that_may_not(tmp_path, endpoint):
    accounts = [{"name": "r", "exchange": "robinhood", "endpoint": endpoint}]
    allowed = frozenset({"proxy.example", "other.example:9443"})
    refused(tmp_path, as_text({"version": 1, "accounts": accounts}), allowed_endpoints=allowed)


@given(st.text(alphabet=string.ascii_letters + string.digits + ".:/@[]%#?\\-_ ", max_size=40))
def test_no_endpoint_reaches_beyond_the_loopback(text):
    """Whatever is let through goes, as every URL reader understands it, to this machine."""
    import ipaddress
    from urllib.parse import urlsplit

    import yarl

    for endpoint in (f"http://127.0.0.1{text}", f"https://localhost{text}", f"http://{text}", f"http://127.{text}"):
        if endpoints.fault(endpoint, frozenset()) is None:
            for host in (urlsplit(endpoint).hostname, yarl.URL(endpoint).host):
                assert host == "localhost" or ipaddress.ip_address(host).is_loopback


def test_find_looks_here_then_in_xdg_then_in_home(tmp_path):
    here, xdg, home = tmp_path / "here", tmp_path / "xdg", tmp_path / "home"
    places = [here / "auditor.yaml", xdg / "auditor/auditor.yaml", home / ".config/auditor/auditor.yaml"]
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg)}
    with pytest.raises(UsageError) as caught:
        config.find(None, cwd=here, environ=environ)
    assert "auditor init" in caught.value.hint and "auditor demo" in caught.value.hint
    for place in reversed(places):
        place.parent.mkdir(parents=True)
        place.touch()
        assert config.find(None, cwd=here, environ=environ) == place
    assert config.find(Path("other.yaml"), cwd=here, environ=environ) == here / "other.yaml"
    assert config.find(Path("~/x.yaml"), cwd=here, environ=environ) == home / "x.yaml"


def test_a_folder_called_auditor_yaml_is_not_a_configuration(tmp_path):
    (tmp_path / "auditor.yaml").mkdir()
    with pytest.raises(UsageError):
        config.find(None, cwd=tmp_path, environ={"HOME": str(tmp_path)})


def test_select(tmp_path):
    read = load(written(tmp_path, as_text(GOOD)))
    assert [account.name for account in read.select([])] == ["main-okx", "k", "r"]
    assert [account.name for account in read.select(["r", "main-okx"])] == ["main-okx", "r"]
    with pytest.raises(UsageError) as caught:
        read.select(["main-ok"])
    assert caught.value.hint == "did you mean main-okx?"
    with pytest.raises(UsageError) as caught:
        read.select(["\x1b[31m"])
    assert "\x1b" not in caught.value.message


def test_nothing_is_included_unless_asked_for(tmp_path):
    first, *others = load(written(tmp_path, as_text(GOOD))).accounts
    assert first.include == {"balances", "withdrawals"}
    assert all(account.include == frozenset() for account in others)


@pytest.mark.parametrize("wrong", ["everything", None, True, {"balances": True}, ["balances"]])
def test_what_cannot_be_included_is_a_fault_at_its_line(tmp_path, wrong):
    document = copy.deepcopy(GOOD)
    document["accounts"][0]["include"] = ["balances", wrong]
    fault = next(iter(refused(tmp_path, as_text(document)).faults))
    assert "cannot be asked for" in fault.message
    assert "balances and withdrawals" in fault.hint


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


VALUES = [
    None, True, False, 0, 1, 2, -1, 1.5, "", " ", "x", "env:A", "env:", "env:1A", "env:A\n", "file:", "file:x", "file: x", "keyring:a", "keyring:a/b",
    "keyring:/b", "keyring:a/", "cmd:x y", "cmd:", "vault:a", "vault:a/b", "vault: a", "https://127.0.0.1", "http://localhost:8/", "http://localhost:0", "sqlite:///x",
    "postgresql+psycopg://x/y", "mysql://x", "json://h", "json:/h", "2026-11-01", "2026-11-1", "2026-11-01\n", "a" * 64, "a" * 65, "a" * 1025, "a\x7f",
    [], ["x"], [None], {}, {"apiKey": "env:A"}, [{"apiKey": "env:A"}], {"count": 1, "as_of": "2026-11-01"}, {"count": 1}, {"nope": 1}, 100001,
]  # fmt: skip
"""No 1.0: it is an integer to JSON Schema, and a slip of the pen in a file that people write."""


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from _paths(child, (*path, key))


@st.composite
def mutated(draw):
    document = copy.deepcopy(GOOD)
    document["accounts"][0]["exchange"] = document["accounts"][1]["exchange"] = document["accounts"][2]["exchange"] = (
        "any"
    )
    *way, last = draw(st.sampled_from([path for path in _paths(document) if path]))
    parent = document
    for key in way:
        parent = parent[key]
    change = draw(st.sampled_from(["replace", "remove", "add"]))
    if change == "replace":
        parent[last] = copy.deepcopy(draw(st.sampled_from(VALUES)))
    elif change == "remove":
        del parent[last]
    elif isinstance(parent, dict):
        parent[draw(st.sampled_from(["nope", "tags", "uid", "count", "Version"]))] = copy.deepcopy(
            draw(st.sampled_from(VALUES))
        )
    else:
        parent.append(copy.deepcopy(draw(st.sampled_from(VALUES))))
    return document


@settings(deadline=None)  # each example writes a file, and disks have bad moments
@given(mutated())
def test_schema_and_loader_agree(tmp_path_factory, document):
    """On everything a schema can say. It cannot say which fields an exchange needs, nor that names are unique."""
    path = written(tmp_path_factory.getbasetemp(), as_text(document))
    try:
        load(path, venues={"any": tuple(credentials.FIELDS)})
        faults = []
    except InputError as error:
        faults = [
            fault
            for fault in error.faults
            if not fault.message.startswith(("any needs the credential field", "the account name", "unknown exchange"))
        ]
    valid = Draft202012Validator(SCHEMA).is_valid(document)
    assert valid == (not faults), faults


def test_the_published_patterns_are_the_ones_that_are_checked():
    """A reference the schema takes is one the loader takes, and the reverse."""
    pattern = Draft202012Validator({**SCHEMA["$defs"]["reference"]})
    for text in [value for value in VALUES if isinstance(value, str)]:
        assert pattern.is_valid(text) == credentials.is_reference(text), text


def test_yaml_and_json_spellings_are_the_same(tmp_path):
    plain = load(written(tmp_path, as_text(GOOD)))
    assert load(written(tmp_path, yaml.safe_dump(GOOD))) == plain
