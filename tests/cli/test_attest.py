"""`auditor attest`: what is asked, how answers are understood, what is kept."""

import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

import auditor
from auditor import attestations
from auditor.cli import attest
from auditor.errors import InputError, UsageError
from auditor.exchanges import _venue
from auditor.model.facts import catalogue
from auditor.model.report import Question

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
ASKED = (
    "account.login_weakest_factor",
    "account.p2p_enabled",
    "account.alert_channels",
    "account.keys_counted",
    "account.password_changed_at",
)
CONFIG = "version: 1\naccounts:\n- {name: main-okx, exchange: okx, attestations: mine.yaml}\n"


def question(fact, **changes):
    ask = catalogue()[fact].ask or fact
    return Question(
        **{
            "fact": fact,
            "ask": ask,
            "where": "profile > security",
            "narrows": ("auth-sms-weakest",),
            "gain": 1.5,
            **changes,
        }
    )


QUESTIONS = [question(fact) for fact in ASKED]


def asked(typed, questions=QUESTIONS):
    """What ask_owner returns, and what a person saw, for what was typed."""
    found = {}

    @click.command()
    def run():
        found.update(attest.ask_owner(questions, now=NOW))

    result = CliRunner().invoke(run, input=typed)
    return found, result


def test_every_kind_of_answer():
    found, result = asked("5\ny\n1,3\n3\n2026-01-02\n")
    assert result.exit_code == 0
    assert found == {
        "account.login_weakest_factor": "totp",
        "account.p2p_enabled": True,
        "account.alert_channels": ["email", "push"],
        "account.keys_counted": 3,
        "account.password_changed_at": "2026-01-02T00:00:00Z",
    }


def test_what_a_person_sees_goes_to_stderr():
    _, result = asked("q\n")
    assert result.stdout == ""
    for text in ("weakest second factor", "Where to look: profile > security", "5  totp", "1/5", "until 2027-02-18"):
        assert text in result.stderr


@pytest.mark.parametrize("skip", ["", "s", "S", "skip", "  "])
def test_skipping_is_not_answering(skip):
    found, _ = asked(f"{skip}\n" * 5)
    assert found == {}


def test_stopping_keeps_what_was_said():
    assert asked("sms\nn\nq\n")[0] == {"account.login_weakest_factor": "sms", "account.p2p_enabled": False}


@pytest.mark.parametrize(
    ("fact", "wrong"),
    [
        ("account.login_weakest_factor", ["0", "7", "-1", "1.0", "TOTP", "1,2", "totp sms", "²", "99999999", "yes"]),
        ("account.p2p_enabled", ["1", "0", "maybe", "yy", "да"]),
        ("account.alert_channels", ["5", "1;2", "1,,2", "email push", ","]),
        ("account.keys_counted", ["-1", "1.5", "three", "1e3", "1,000", "99999999999999999999", "٣", "inf", "nan"]),
        ("account.hold_after_new_device_hours", ["-1", "1e400", "nan", "inf", "1_0", "0x10", "24h"]),
        (
            "account.password_changed_at",
            ["yesterday", "2026-13-01", "2026-02-30", "2027-01-01", "1999-01-01", "20260101", "1.2.2026"],
        ),
    ],
)
def test_wrong_answers_are_asked_again_with_a_hint(fact, wrong):
    for text in wrong:
        found, result = asked(f"{text}\nq\n", [question(fact)])
        assert found == {}, text
        assert "expected" in result.stderr or "future" in result.stderr, text


def test_none_is_an_answer_for_a_set_and_a_skip_is_not():
    assert asked("none\n", [question("account.alert_channels")])[0] == {"account.alert_channels": []}


def test_a_set_is_kept_in_one_order_and_without_repeats():
    assert asked("push,1,email,3\n", [question("account.alert_channels")])[0] == {
        "account.alert_channels": ["email", "push"]
    }


def test_the_end_of_input_is_an_abort():
    found, result = asked("sms\n")
    assert result.exit_code == 1 and found == {}


def test_hostile_text_in_a_question_is_made_visible():
    _, result = asked("q\n", [question("account.p2p_enabled", ask="\x1b[2Jx\u202e", where="\x1b]0;y\x07")])
    assert "\x1b" not in result.stderr and "\u202e" not in result.stderr and "\\x1b" in result.stderr


def test_questions_about_single_rows_are_not_asked():
    found, result = asked("", [question("api_key.owner_recognised")])
    assert found == {} and result.exit_code == 0 and result.stderr == ""


def test_every_attestable_fact_of_an_account_can_be_answered():
    """With the first thing a person would type for its kind."""
    typed = {
        "bool": "y",
        "int": "3",
        "number": "1.5",
        "time": "2026-01-02",
        "enum": "1",
        "set": "1",
        "list": "a",
        "text": "a",
    }
    for fact in catalogue().values():
        if fact.scope == "account" and "attest" in fact.by:
            found, _ = asked(f"{typed[fact.kind]}\n", [question(fact.path)])
            assert attestations.value_fault(fact, found[fact.path], NOW) is None


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(_venue, "ids", lambda: ("okx",))
    monkeypatch.setattr(_venue, "load", lambda _exchange: type("Venue", (), {"credentials": ("apiKey",)}))
    (tmp_path / "auditor.yaml").write_text(CONFIG)

    def invoke(*arguments, typed=None, questions=QUESTIONS):
        pipeline = ModuleType("auditor.pipeline")
        pipeline.questions_for = lambda _config, _account: questions
        monkeypatch.setitem(sys.modules, "auditor.pipeline", pipeline)
        monkeypatch.setattr(auditor, "pipeline", pipeline, raising=False)
        asking = typed is not None
        monkeypatch.setattr(attest, "at_terminal", lambda: asking)
        return CliRunner().invoke(attest.command, arguments, input=typed)

    return invoke


def kept(path="mine.yaml"):
    return attestations.load(Path(path), account_name="main-okx", exchange="okx", now=datetime.now(UTC))


def test_without_a_terminal_the_questions_are_listed(run):
    result = run()
    assert result.exit_code == 0
    assert "main-okx: 5 open questions" in result.stdout
    assert (
        "account.login_weakest_factor = none | sms" in result.stdout
        and "account.p2p_enabled = yes | no" in result.stdout
    )
    assert "--answer FACT=VALUE" in result.stderr
    assert not Path("mine.yaml").exists()


def test_nothing_left_to_ask(run):
    result = run(questions=[])
    assert (result.exit_code, result.stdout) == (0, "") and "nothing left to ask" in result.stderr


def test_answers_from_the_command_line(run):
    result = run(
        "main-okx",
        "--answer",
        "account.login_weakest_factor=sms",
        "--answer",
        "account.alert_channels=push,email",
        "--expires-days",
        "30",
    )
    assert result.exit_code == 0, result.exception
    today = datetime.now(UTC).date()
    assert f"mine.yaml: 2 answers, good until {today + timedelta(days=30)}" in result.stdout
    found = kept()
    assert found.account == {"login_weakest_factor": "sms", "alert_channels": ["email", "push"]}
    assert found.sources["account.alert_channels"].expires == (today + timedelta(days=30)).isoformat()
    assert stat.S_IMODE(Path("mine.yaml").stat().st_mode) == 0o600


def test_a_count_of_keys_is_not_kept_longer_than_it_counts(run):
    result = run("--answer", "account.keys_counted=3", "--answer", "account.p2p_enabled=no")
    today = datetime.now(UTC).date()
    short, long = (str(today + timedelta(days=days)) for days in (30, 90))
    assert f"good until {short} and {long}" in result.stdout
    assert kept().sources["account.keys_counted"].expires == short
    run("--answer", "account.keys_counted=3", "--expires-days", "7")
    assert kept().sources["account.keys_counted"].expires == str(today + timedelta(days=7))


def test_answers_are_added_to_what_is_there(run):
    run("--answer", "account.p2p_enabled=no", "--answer", "account.password_unique=yes")
    run("--answer", "account.p2p_enabled=yes")
    assert kept().account == {"p2p_enabled": True, "password_unique": True}


def test_a_conversation(run):
    result = run(typed="5\nq\n")
    assert result.exit_code == 0
    assert kept().account == {"login_weakest_factor": "totp"}
    assert "1 answer, good until" in result.stdout


def test_a_conversation_without_an_answer_writes_nothing(run):
    assert run(typed="q\n").exit_code == 0
    assert run(typed="5\n").exit_code == 1
    assert not Path("mine.yaml").exists()


@pytest.mark.parametrize(
    "answers",
    [
        ["account.p2p_enabled"],
        ["account.p2p_enabled="],
        ["=yes"],
        [""],
        ["account.p2p_enabled=maybe"],
        ["p2p_enabled=yes"],
        ["account.p2p_enable=yes"],
        ["account.kyc_level=3"],
        ["account.has_sms_factor=no"],
        ["account.name=x"],
        ["api_key.owner_recognised=yes"],
        ["account.login_weakest_factor=5"],
        ["account.keys_counted=-1"],
        ["account.alert_channels="],
        ["account.sessions_reviewed_at=2031-01-01"],
        ["account.p2p_enabled=yes", "account.p2p_enabled=no"],
        ["account.p2p_enabled=yes", "account.password_unique=perhaps"],
        ["account.\x1b[31m=1"],
    ],
)
def test_a_malformed_answer_is_refused_and_nothing_written(run, answers):
    result = run(*[word for answer in answers for word in ("--answer", answer)])
    assert isinstance(result.exception, UsageError) and result.exception.exit_code == 2
    assert "\x1b" not in result.exception.message
    assert not Path("mine.yaml").exists()


def test_all_malformed_answers_are_named_at_once(run):
    result = run("--answer", "account.p2p_enabled=maybe", "--answer", "account.nope=1")
    assert "account.p2p_enabled" in result.exception.message and "account.nope" in result.exception.message


@pytest.mark.parametrize("days", ["0", "401", "x"])
def test_validity_has_bounds(run, days):
    assert run("--answer", "account.p2p_enabled=no", "--expires-days", days).exit_code == 2


def test_an_attestation_file_that_cannot_be_read_is_found_before_any_question(run):
    Path("mine.yaml").write_text("schema: [")
    for result in (run(typed="5\nq\n"), run("--answer", "account.p2p_enabled=no")):
        assert isinstance(result.exception, InputError)
        assert "weakest" not in result.stderr
    assert Path("mine.yaml").read_text() == "schema: ["


def test_several_accounts(run):
    Path("auditor.yaml").write_text(CONFIG + "- {name: two, exchange: okx}\n")
    assert isinstance(run("--answer", "account.p2p_enabled=no").exception, UsageError)
    assert run("two", "--answer", "account.p2p_enabled=no").exit_code == 0
    assert "p2p_enabled: false" in Path("attest/two.yaml").read_text()
    assert not Path("mine.yaml").exists()
    listed = run().stdout
    assert "main-okx: 5 open" in listed and "two: 5 open" in listed


def test_an_unknown_account(run):
    assert run("main-ok").exception.hint == "did you mean main-okx?"


def test_help_shows_an_example(run):
    assert "auditor attest main-okx --answer account.login_weakest_factor=totp" in run("--help").output
