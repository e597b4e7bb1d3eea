"""What an owner may state, what not, and that a file written is the file read."""

import os
import stat
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor import answers, attestations, yamlio
from auditor.attestations import Attestation, Row
from auditor.errors import InputError
from auditor.model import document
from auditor.model.evidence import Source
from auditor.model.facts import catalogue, format_time, of_scope

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
HEAD = "schema: auditor/evidence/1\n"
FULL = """\
schema: auditor/evidence/1
attested_at: 2026-11-01
account:
  name: main-okx
  exchange: okx
  login_weakest_factor: totp
  alert_channels: [email, push]
  keys_counted: 3
  password_changed_at: 2026-01-02
  p2p_enabled: null
api_keys:
  - {label: bot, masked_id: …wxyz, owner_recognised: true, third_party: false}
  - {fingerprint: 00112233445566778899aabbccddeeff, storage: vault}
addresses:
  - {label: cold, owner_recognised: true}
events:
  - {fingerprint: ffeeddccbbaa99887766554433221100, owner_confirmed: false}
vendors:
  - {name: Tax Program, second_factor: true}
sources:
  account.login_weakest_factor: {by: attest, at: 2026-10-01, expires: 2027-02-01, ref: tried it myself}
  api_key.owner_recognised: {at: 2026-11-19T12:00:00+02:00}
"""


def load(text, path=None, now=NOW):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return attestations.load(path, account_name="main-okx", exchange="okx", now=now)


@pytest.fixture
def read(tmp_path):
    return lambda text, now=NOW: load(text, tmp_path / "a.yaml", now)


@pytest.fixture
def refused(read):
    def faults(text):
        with pytest.raises(InputError) as caught:
            read(text)
        assert caught.value.exit_code == 2
        return caught.value.faults

    return faults


def test_a_full_file(read):
    found = read(FULL)
    assert found.account == {
        "login_weakest_factor": "totp",
        "alert_channels": ["email", "push"],
        "keys_counted": 3,
        "password_changed_at": "2026-01-02T00:00:00Z",
    }
    assert found.rows["api_key"] == (
        Row(match={"label": "bot", "masked_id": "…wxyz"}, facts={"owner_recognised": True, "third_party": False}),
        Row(match={"fingerprint": "00112233445566778899aabbccddeeff"}, facts={"storage": "vault"}),
    )
    assert set(found.rows) == {"api_key", "address", "event"}
    assert found.vendors == ({"name": "Tax Program", "second_factor": True},)
    usual = Source(by="attest", at="2026-11-01", expires="2027-01-30")
    assert found.sources == {
        "account.login_weakest_factor": Source(by="attest", ref="tried it myself", at="2026-10-01", expires="2027-02-01"),
        "api_key.owner_recognised": Source(by="attest", at="2026-11-19T10:00:00Z", expires="2027-02-17T10:00:00Z"),
        **dict.fromkeys(
            [
                "account.alert_channels", "account.keys_counted", "account.password_changed_at", "api_key.third_party", "api_key.storage",
                "address.owner_recognised", "event.owner_confirmed", "vendor.second_factor", "vendors",
            ],
            usual,
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [HEAD, HEAD + "account: {}\n", HEAD + "account: {name: main-okx, exchange: okx}\nvendors: null\nevents: null\n"],
)
def test_a_file_that_states_nothing(read, text):
    assert read(text) == Attestation(account_name="main-okx", exchange="okx")


def test_no_vendor_is_a_statement(read, refused):
    assert read(HEAD + "attested_at: 2026-11-01\nvendors: []\n").vendors == ()
    assert "vendors has no date" in refused(HEAD + "vendors: []\n")[0].message


@pytest.mark.parametrize(
    "path", [path for path, fact in catalogue().items() if fact.scope == "account" and path != "account.name"]
)
def test_exactly_the_attestable_facts_are_accepted(read, refused, path):
    fact = catalogue()[path]
    text = f"{HEAD}attested_at: 2026-11-01\naccount:\n  {fact.name}: {_spelled(fact)}\n"
    if "attest" in fact.by:
        assert fact.name in read(text).account
    else:
        (fault,) = refused(text)
        assert f"{path} cannot be attested: " in fault.message and fault.line == 4


def _spelled(fact):
    return {"bool": "true", "int": "1", "number": "1.5", "text": "x", "time": "2026-01-01", "list": "[a]"}.get(
        fact.kind, f"[{fact.choices[0]}]" if fact.kind == "set" else fact.choices[0] if fact.choices else ""
    )


def test_only_an_api_can_show_it(refused):
    (fault,) = refused(HEAD + "attested_at: 2026-11-01\naccount: {kyc_level: 3}\n")
    assert fault.message == "account.kyc_level cannot be attested: only an API can show it"


@pytest.mark.parametrize("row", ["can_withdraw: false", "ip_bound: true", "kind: hmac", "is_audit_key: true"])
def test_what_a_key_can_do_cannot_be_talked_away(refused, row):
    assert any(
        "cannot be attested" in fault.message
        for fault in refused(HEAD + f"attested_at: 2026-11-01\napi_keys: [{{label: a, {row}}}]\n")
    )


def test_every_fault_at_once_with_its_line(refused):
    faults = refused("""\
schema: auditor/evidence/2
collected_at: 2027-01-01
venue: {hold_covers_p2p: true}
problems: [{endpoint: x, reason: timeout}]
extra: 1
account:
  name: other
  exchange: kraken
  login_weakest_factor: totpp
  keys_counted: -1
  password_changed_at: 2027-01-01
  p2p_enabled: "yes"
  kyc_level: 1
  log_in: 1
api_keys:
  - {owner_recognised: true}
  - {label: a}
  - {label: b, storage: env}
  - {label: b, third_party: true}
  - 3
  - {label: [], storage: env}
  - {fingerprint: xyz, storage: env}
addresses: []
vendors:
  - {second_factor: true}
  - {name: A}
  - {name: " a"}
  - {name: B, breached: often}
sources:
  account.p2p_enabled: {by: attest}
  api_key.storage: {by: api, at: 2026-11-01, expires: 2026-11-01, until: 1}
  api_key.third_party: {at: soon, expires: 2029-01-01, ref: 3}
  vendors: {at: 2026-11-01, expires: 2028-01-01}
  nothing: {}
""")
    sound = {6, 15, 24, 29}
    assert {fault.line for fault in faults} == set(range(1, 35)) - sound
    messages = "\n".join(map(str, faults))
    assert "did you mean totp" in messages and "did you mean account" in messages
    assert sum(fault.line == 31 for fault in faults) == 3
    assert sum(fault.line == 32 for fault in faults) == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "x", "account: {}\n", "schema: auditor/report/1\n", HEAD + HEAD, HEAD + "---\n" + HEAD, HEAD + "account: []\n", HEAD + "account: 0\n",
        HEAD + "account: {password_unique: true}\n", HEAD + "attested_at: 2026-11-01\ncollected_at: 2026-11-01\n", HEAD + "attested_at: null\n",
        HEAD + "attested_at: 2026-13-01\n", HEAD + "attested_at: 20261101\n", HEAD + "attested_at: 2026-11-22\n", HEAD + "account: {name: null, name: x}\n",
        HEAD + "account: {name: [main-okx]}\n", HEAD + "account: {name: true}\n", HEAD + "account: {exchange: OKX}\n", HEAD + "api_keys: {}\n",
        HEAD + "api_keys: []\n", HEAD + "vendors: {}\n", HEAD + "vendors: [null]\n", HEAD + "sources: []\n", HEAD + "sources: {account.password_unique: {at: 2026-11-01}}\n",
        HEAD + "account: {password_unique: true}\nsources: {account.password_unique: {expires: 2026-12-01}}\n",
        HEAD + "account: {password_unique: true}\nsources: {account.password_unique: 2026-11-01}\n",
        HEAD + "account: {password_unique: true}\nsources: {account.password_unique: {at: 2026-11-01, expires: 2026-10-31}}\n",
        HEAD + "account: {password_unique: true}\nsources: {account.password_unique: {at: 2026-11-01, expires: 2027-12-07}}\n",
        HEAD + "account: {password_unique: true}\nsources: {account.password_unique: {at: 2026-11-01, expires: null}}\n",
        HEAD + "account: {? {a: b} : true}\n", HEAD + "account: &x {}\n", HEAD + "account: !!map {}\n", "\0", b"\xff\xfe\x00", "{" * 10000, "x: " * 3,
        HEAD + "attested_at: 2026-11-01\naccount: {hold_after_new_device_hours: .nan}\n",
        HEAD + "attested_at: 2026-11-01\naccount: {hold_after_new_device_hours: -0.5}\n",
        HEAD + "attested_at: 2026-11-01\naccount: {sessions_reviewed_at: 2026-11-23}\n",
        HEAD + "attested_at: 2026-11-01\nwithdrawals: [{label: x, destination_recognised: true}]\n",
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(refused, text):
    assert all(fault.message for fault in refused(text))


def test_size(tmp_path):
    path = tmp_path / "a.yaml"
    with path.open("wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(InputError, match="too large"):
        attestations.load(path, account_name="a", exchange="okx", now=NOW)


def test_a_flood_of_faults_ends_in_time(refused):
    began = time.monotonic()
    assert len(refused(HEAD + "account:\n" + "".join(f"  password{n}: 1\n" for n in range(50_000)))) == 50_000
    assert time.monotonic() - began < 30


def test_tomorrow_is_today_somewhere(read, refused):
    assert (
        read(HEAD + "attested_at: 2026-11-21\naccount: {password_unique: true}\n").sources["account.password_unique"].at
        == "2026-11-21"
    )
    refused(HEAD + "attested_at: 2026-11-22\naccount: {password_unique: true}\n")


def test_the_longest_validity(read):
    text = (
        HEAD
        + "account: {{password_unique: true}}\nsources: {{account.password_unique: {{at: 2026-11-01, expires: {}}}}}\n"
    )
    assert read(text.format("2027-12-06")).sources["account.password_unique"].expires == "2027-12-06"


def test_what_has_expired_is_still_read(read):
    found = read(HEAD + "attested_at: 2020-01-01\naccount: {password_unique: true}\n")
    assert found.account == {"password_unique": True}
    assert found.sources["account.password_unique"].expires == "2020-03-31"


def test_hostile_text_is_made_visible(refused):
    messages = "\n".join(
        str(fault)
        for fault in refused(HEAD + 'account: {"a\\e[31m\\u202e": 1}\nsources: {"\\e]0;x\\a": {}}\n"\\e[2J": 1\n')
    )
    assert "\x1b" not in messages and "\u202e" not in messages and "\x07" not in messages


def test_answers_replace_and_are_dated():
    before = Attestation(
        account_name="main-okx",
        exchange="okx",
        account={"password_unique": False, "email_dedicated": True},
        sources=dict.fromkeys(
            ["account.password_unique", "account.email_dedicated"],
            Source(by="attest", at="2026-01-01", expires="2026-04-01"),
        ),
    )
    after = answers.added(before, "account.password_unique", True, now=NOW, days=30)
    assert after.account == {"password_unique": True, "email_dedicated": True}
    assert after.sources["account.password_unique"] == Source(by="attest", at="2026-11-20", expires="2026-12-20")
    assert after.sources["account.email_dedicated"] == before.sources["account.email_dedicated"]
    assert before.account["password_unique"] is False


def _values(fact):
    times = st.datetimes(datetime(2009, 1, 2), datetime(2026, 11, 19), timezones=st.just(UTC)).map(format_time)
    return {
        "bool": st.booleans(),
        "int": st.integers(0, 2**53),
        "number": st.integers(0, 10**17) | st.floats(0, 1e300),
        "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        "time": times,
        "enum": st.sampled_from(fact.choices or ("",)),
        "set": st.lists(st.sampled_from(fact.choices or ("",)), unique=True),
        "list": st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), max_size=3),
    }[fact.kind]


def _facts(scope, least=0, without=()):
    values = {
        fact.name: _values(fact)
        for fact in of_scope(scope).values()
        if "attest" in fact.by and fact.name not in without
    }
    keys = st.lists(st.sampled_from(sorted(values)), unique=True, min_size=least, max_size=6)
    return keys.flatmap(lambda names: st.fixed_dictionaries({name: values[name] for name in names}))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30) | st.sampled_from(
    [
        "null",
        "true",
        "~",
        "1e5",
        "0x1",
        "- a",
        "a: b",
        "#",
        "é",
        "\x85",
        "\u2028",
        "\ufeff",
        "a\n b",
        "'",
        '"',
        "2026-11-01",
        "[",
        "!x",
        "&x",
        "*x",
        "\\",
        "%",
        "@",
        "😀",
    ]
)
FINGERPRINT = st.text("0123456789abcdef", min_size=8, max_size=64)


def _rows(scope):
    keys = attestations.MATCHED_BY[scope]
    matches = st.fixed_dictionaries(
        {}, optional={key: FINGERPRINT if key == "fingerprint" else TEXT for key in keys}
    ).filter(bool)
    row = st.builds(Row, match=matches, facts=_facts(scope, least=1))
    return st.lists(row, min_size=1, max_size=3, unique_by=lambda one: tuple(sorted(one.match.items()))).map(tuple)


SOURCES = st.builds(
    lambda at, days, ref, clock: Source(
        by="attest",
        ref=ref,
        at=format_time(at + timedelta(seconds=1)) if clock else at.date().isoformat(),
        expires=(at + timedelta(days=days)).date().isoformat(),
    ),
    st.datetimes(datetime(2010, 1, 2), datetime(2026, 11, 19), timezones=st.just(UTC)),
    st.integers(2, 399),
    st.none() | TEXT,
    st.booleans(),
)


@st.composite
def stated(draw):
    vendor = st.builds(
        lambda name, rest: {"name": name, **rest}, TEXT.filter(str.strip), _facts("vendor", without=["name"])
    )
    vendors = draw(
        st.none() | st.lists(vendor, max_size=3, unique_by=lambda row: row["name"].strip().casefold()).map(tuple)
    )
    account = draw(_facts("account"))
    rows = draw(st.fixed_dictionaries({}, optional={scope: _rows(scope) for scope in attestations.MATCHED_BY}))
    paths = attestations._stated(account, rows, vendors)
    return Attestation(
        account_name="main-okx",
        exchange="okx",
        account=account,
        rows=rows,
        vendors=vendors,
        sources={path: draw(SOURCES) for path in paths},
    )


@settings(deadline=None)  # each example writes a file, and disks have bad moments
@given(stated())
def test_what_is_written_is_what_is_read(tmp_path_factory, attestation):
    path = tmp_path_factory.getbasetemp() / f"round-trip-{os.getpid()}.yaml"
    attestations.write(path, attestation)
    assert attestations.load(path, account_name="main-okx", exchange="okx", now=NOW) == attestation
    once = path.read_bytes()
    attestations.write(path, attestations.load(path, account_name="main-okx", exchange="okx", now=NOW))
    assert path.read_bytes() == once


def test_a_written_file_is_an_evidence_document(read, tmp_path):
    found = read(
        FULL.replace("events:\n  - {fingerprint: ffeeddccbbaa99887766554433221100, owner_confirmed: false}\n", "")
    )
    path = tmp_path / "b.yaml"
    attestations.write(path, found)
    strangers = [fault.message for fault in document.faults(yamlio.read(path))]
    assert strangers == []


def test_a_written_file_is_private_and_says_what_it_is(read, tmp_path):
    path = tmp_path / "attest" / "main-okx.yaml"
    attestations.write(path, read(FULL))
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.startswith("# What the owner of main-okx states") and "# When you log in" in text
    assert "login_weakest_factor: totp\n" in text and "{by: attest, at: 2026-11-01, expires: 2027-01-30}" in text
