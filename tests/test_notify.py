"""Notices: told on change and once, worst first, nothing private in them, and never at the cost of a run."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.report import AccountReport, Drift, Outcome, Report
from auditor.model.rule import Severity
from auditor.notify import change, delivery, message
from auditor.redaction import Secret
from tests import stage
from tests.reports.invented import bad_account, dim_account, finding, key, owner, report

FAIL, LOW = Outcome.FAIL, Severity.LOW


def whole(*accounts: AccountReport, incomplete: tuple[str, ...] = ()) -> Report:
    made = report(*accounts, sample=False)
    return replace(made, summary=replace(made.summary, incomplete_accounts=incomplete))


def account(*failing: str, name: str = "main-okx", outcome: Outcome = FAIL, **more: Any) -> AccountReport:
    """An account about which these rules say `outcome`; nothing else is known of it."""
    told = [
        replace(finding(rule, Severity.HIGH, outcome, owner(name), "x", account=name), state="a" * 16)
        for rule in failing
    ]
    return replace(bad_account(), name=name, findings=tuple(told), **{"drift": None, **more})


def told(value: Report, before: dict[str, change.Told] | None = None) -> dict[str, change.Told]:
    return change.after(value, before, LOW)


# What is worth a notice


def test_the_first_run_tells_all_that_fails() -> None:
    found = change.between(whole(account("a", "b")), None, LOW)
    assert [one.rule for _, one in found.new] == ["a", "b"]


def test_what_was_told_is_not_told_again() -> None:
    value = whole(account("a", "b"))
    assert not change.between(value, told(value), LOW)
    more = whole(account("a", "b", "c"))
    assert [one.rule for _, one in change.between(more, told(value), LOW).new] == ["c"]


def test_a_subject_in_another_state_is_told_again() -> None:
    value = whole(account("a"))
    changed = replace(account("a").findings[0], state="b" * 16)
    assert change.between(whole(replace(account("a"), findings=(changed,))), told(value), LOW).new


def test_a_waiver_that_ends_is_a_failure_that_is_new() -> None:
    waived = replace(account("a").findings[0], waiver={"reason": "r", "owner": "o", "until": "2026-12-31"})
    value = whole(replace(account(), findings=(waived,)))
    assert not change.between(value, None, LOW)
    assert change.between(whole(account("a")), told(value), LOW).new


def test_mended_is_what_is_seen_to_be_mended() -> None:
    before = told(whole(account("a", "b")))
    assert change.between(whole(account("a", "b", outcome=Outcome.PASS)), before, LOW).mended == 2
    assert change.between(whole(account()), before, LOW).mended == 2


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.ERROR])
def test_an_outage_mends_nothing_and_its_end_is_no_news(outcome: Outcome) -> None:
    value = whole(account("a", "b"))
    dark = whole(account("a", "b", outcome=outcome), incomplete=("main-okx",))
    gone = whole(account(), incomplete=("main-okx",))
    for outage in (dark, gone):
        found = change.between(outage, told(value), LOW)
        assert found.mended == 0 and [one.name for one in found.incomplete] == ["main-okx"]
        during = told(outage, told(value))
        assert not change.between(outage, during, LOW)
        assert not change.between(value, during, LOW)
        back = told(value, during)
        assert change.between(outage, back, LOW).incomplete


STEPS = st.tuples(st.sampled_from([FAIL, Outcome.PASS, Outcome.UNKNOWN, None]), st.booleans())


@given(st.lists(STEPS, min_size=1, max_size=12))
def test_a_failure_is_told_once_until_it_is_seen_to_be_mended(steps: list[tuple[Outcome | None, bool]]) -> None:
    memory: dict[str, change.Told] | None = {}
    open_ = False
    for outcome, outage in steps:
        one = account("a", outcome=outcome) if outcome else account()
        value = whole(one, incomplete=("main-okx",) if outage else ())
        found = change.between(value, memory, LOW)
        mended = outcome is Outcome.PASS or (outcome is None and not outage)
        assert bool(found.new) is (outcome is FAIL and not open_)
        assert found.mended == int(open_ and mended)
        open_ = outcome is FAIL or (open_ and not mended)
        memory = change.from_document(json.loads(json.dumps(change.to_document(told(value, memory)))))


def test_accounts_that_were_left_out_stay_told() -> None:
    both = whole(account("a"), account("b", name="other"))
    partly = told(whole(account("a")), told(both))
    assert not change.between(both, partly, LOW)


def test_severities_below_the_floor_and_remarks_are_not_told() -> None:
    low = finding("low", Severity.LOW, FAIL, owner("main-okx"), "x")
    remark = finding("remark", Severity.INFO, FAIL, owner("main-okx"), "x")
    value = whole(replace(account(), findings=(low, remark)))
    assert [one.rule for _, one in change.between(value, None, LOW).new] == ["low"]
    assert not change.between(value, None, Severity.MEDIUM)


def test_drift_is_told_once() -> None:
    drifted = account(drift=(Drift(kind="new", subject=key("ff", "x"), what="x"),))
    assert change.between(whole(drifted), {}, LOW).drift
    assert not change.between(whole(drifted), told(whole(drifted)), LOW)
    assert not change.between(whole(account(drift=())), told(whole(drifted)), LOW)


def test_without_a_memory_the_run_before_is_what_the_history_says() -> None:
    known = [
        replace(one, baseline=said)
        for one, said in zip(account("a", "b", "c").findings, ("new", "unchanged", "updated"), strict=True)
    ]
    value = whole(replace(account(), findings=tuple(known)))
    assert [one.rule for _, one in change.between(value, None, LOW).new] == ["a", "c"]


def test_the_memory_comes_back_and_rubbish_is_no_memory() -> None:
    memory = told(whole(account("a"), dim_account()))
    assert change.from_document(json.loads(json.dumps(change.to_document(memory)))) == memory
    for rubbish in (None, [], "x", {"a": 1}, {"a": {}}, {"a": {"failing": [], "drift": 1}}, 7):
        assert change.from_document(rubbish) is None


# How it is said


def spoken(*accounts: AccountReport, incomplete: tuple[str, ...] = ()) -> tuple[str, str]:
    value = whole(*accounts, incomplete=incomplete)
    return message.spoken(value, change.between(value, None, LOW))


def test_the_worst_comes_first_and_the_rest_is_counted() -> None:
    many = [finding(f"r{at}", Severity.LOW, FAIL, owner("main-okx"), "x") for at in range(15)]
    worst = finding("worst", Severity.CRITICAL, FAIL, key("ab", "grid bot"), "x")
    title, body = spoken(replace(account(), findings=(*many, worst)))
    assert title == "auditor: 1 critical, 15 low failing anew"
    lines = body.splitlines()
    assert lines[0] == "CRITICAL main-okx: Worst (API key grid bot)"
    assert sum(line.startswith("LOW") for line in lines) == 9 and "and 6 more" in lines
    assert "Score of main-okx: 18.0 to 61.4 of 100, 58% could be seen" in lines


HOSTILE = (
    "http://evil.example/x",
    "<!channel> @everyone",
    "[a](http://b.c)",
    "`x` *b* _c_ <b>h</b>",
    "\u202egnp.exe",
    "\x1b[31mred",
    "a\nCRITICAL main-okx: false",
    "{{7*7}} ${x} %s",
    "x" * 10_000,
    "ann@example.org +4915112345678",
    "203.0.113.77 2001:db8::dead:beef:1",
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "3f2a91bc-77d0-4e15-9c01-aa77100254fe",
)
PRIVATE = (
    "ann@", "15112345678", "203.0.113.77", "2001:db8::dead", "52908400098527886", "kvy5l643lydn", "77d0-4e15",
    "://", "@everyone", "<", "](", "`", "*", "\u202e", "\x1b", "{{",
)  # fmt: skip


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_becomes_a_word_and_nothing_else(label: str) -> None:
    named = finding("rule", Severity.HIGH, FAIL, key("ab", label), f"message {label}")
    drifted = Drift(kind="widened", subject=key("ab", label), what=label)
    title, body = spoken(replace(bad_account(), name=label, findings=(named,), drift=(drifted,)))
    for text in (title, body):
        assert not [part for part in PRIVATE if part in text]
    plain = spoken(replace(bad_account(), findings=(named,), drift=(drifted,)))[1]
    assert body.count("\n") == plain.count("\n") and len(body) < 1200


@given(st.text(max_size=300))
def test_any_label_stays_on_its_line(label: str) -> None:
    shown = message.discreet(label)
    assert len(shown.splitlines()) <= 1 and len(shown) <= 450
    assert not set(shown) & set("<>@[](){}`*/\\:&|~#\x1b\u202e")


def test_neither_a_secret_nor_a_value_of_the_evidence_is_in_it() -> None:
    secret = Secret("hunter2-hunter2")
    named = finding("rule", Severity.HIGH, FAIL, key("ab", "hunter2-hunter2"), "hunter2-hunter2 10.1.2.3")
    text = "".join(spoken(replace(bad_account(), findings=(named,))))
    assert "hunter2" not in text and "10.1.2.3" not in text
    del secret


def test_many_accounts_are_still_one_short_message() -> None:
    names = [f"account-{at}" for at in range(300)]
    title, body = spoken(*(account("a", "b", name=name) for name in names), incomplete=tuple(names))
    assert len(title) < 120 and len(body) < 3000


# How it is sent


@contextmanager
def server() -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A web server on loopback: /ok takes it, /500 fails, /twice fails once, /hang says nothing, /drip a byte a second."""
    got: list[tuple[str, Any]] = []
    over = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, json.loads(body)))
            self._answer()

        def do_GET(self) -> None:
            got.append((self.path, None))
            self._answer()

        def _answer(self) -> None:
            times = sum(path == self.path for path, _ in got)
            if self.path == "/hang":
                over.wait(60)
            elif self.path == "/drip":
                self.send_response(200)
                self.flush_headers()
                while not over.wait(0.5):
                    try:
                        self.wfile.write(b"X-Slow: 1\r\n")
                    except OSError:
                        return
            elif self.path == "/away":
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
            else:
                self.send_response(500 if self.path == "/500" or (self.path == "/twice" and times < 2) else 200)
                self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{made.server_port}", got
    finally:
        over.set()
        made.shutdown()
        thread.join()
        made.server_close()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PAUSES", (0.05, 0.05))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def test_each_address_gets_one_message_and_is_tried_again_if_it_fails() -> None:
    with server() as (host, got):
        addresses = [Secret(f"json://{host}/{path}") for path in ("ok", "500", "twice")]
        addresses += [Secret("nosuchthing://x"), Secret(f"json://127.0.0.1:{closed_port()}/")]
        results = delivery.send(addresses, "title", "body")
    assert results == [
        None,
        "could not be delivered",
        None,
        "is not an address that Apprise understands",
        "could not be delivered",
    ]
    assert sorted(path for path, _ in got) == ["/500", "/500", "/500", "/ok", "/twice", "/twice"]
    assert got[0][1]["title"] == "title" and got[0][1]["message"] == "body"


@pytest.mark.parametrize("path", ["hang", "drip"])
def test_a_peer_that_is_slow_costs_the_deadline_and_no_more(path: str) -> None:
    with server() as (host, _):
        begun = time.monotonic()
        results = delivery.send([Secret(f"json://{host}/{path}"), Secret(f"json://{host}/ok")], "t", "b", deadline=8)
        assert time.monotonic() - begun < 14
    assert results == ["was not delivered in time", None]


def test_nobody_to_tell_starts_nothing() -> None:
    assert delivery.send([], "t", "b") == []


def test_a_sign_of_life_goes_where_it_should_and_no_further() -> None:
    with server() as (host, got):
        assert delivery.ping(Secret(f"http://{host}/ok")) is None
        assert delivery.ping(Secret(f"http://{host}/away")) == "could not be delivered"
        assert delivery.ping(Secret(f"http://{host}/drip"), deadline=2) == "was not delivered in time"
    assert "/elsewhere" not in [path for path, _ in got]
    assert delivery.ping(Secret("file:///etc/hostname")) == "is not an http or https address"


# In a run


EVIDENCE = """schema: auditor/evidence/1
collected_at: 2026-11-20T09:00:00Z
account: {name: main-okx, exchange: okx, login_weakest_factor: sms}
"""
RUN = ("evaluate", "evidence.yaml", "-c", "auditor.yaml", "-f", "json", "--notify")


def staged(tmp_path: Any, *addresses: str) -> stage.Stage:
    mine = stage.Stage(tmp_path)
    mine.write(
        "auditor.yaml",
        json.dumps({"version": 1, "accounts": [{"name": "main-okx", "exchange": "okx"}], "notify": list(addresses)}),
    )
    mine.write("evidence.yaml", EVIDENCE)
    return mine


def test_a_run_tells_once_and_again_when_something_changes(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://{host}/ok")
        for _ in range(2):
            ran = mine.run(*RUN)
            assert ran.report["problems"] == [] and ran.err == ""
        assert len(got) == 1 and "CRITICAL main-okx" in got[0][1]["message"]
        mine.write("evidence.yaml", EVIDENCE.replace("sms}", "sms, shared_login: true}"))
        mine.run(*RUN)
        assert len(got) == 2
        mine.run(*RUN[:-1])
        assert len(got) == 2, "evaluate without --notify touches no network"


def test_a_notice_that_fails_is_a_problem_in_the_report_and_is_told_again(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://user:hunter2hunter2@{host}/500")
        for _ in range(2):
            ran = mine.run(*RUN)
            [problem] = ran.report["problems"]
            assert problem["where"] == "notify 1" and "could not be delivered" in problem["message"]
            assert "hunter2" not in ran.out + ran.err and host not in ran.out + ran.err and "remark:" in ran.err
            assert ran.code == 13
        assert len(got) == 6
    assert b"hunter2" not in b"".join(text for name, text in mine.files().items() if "auditor.yaml" not in name)


def test_one_that_heard_it_is_enough_not_to_tell_it_again(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://{host}/ok", f"json://{host}/500", "env:NOWHERE")
        ran = mine.run(*RUN)
        assert [problem["where"] for problem in ran.report["problems"]] == ["notify 3", "notify 2"]
        assert mine.run(*RUN).report["problems"] == []
        assert [path for path, _ in got].count("/ok") == 1


def test_the_address_may_be_a_reference(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, "env:HOOK")
        mine.environ["HOOK"] = f"json://{host}/ok"
        assert mine.run(*RUN).report["problems"] == [] and len(got) == 1


def test_the_memory_is_private_and_a_broken_one_tells_again(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://{host}/ok")
        mine.run(*RUN)
        [path] = (tmp_path / ".local/state/auditor").iterdir()
        assert path.stat().st_mode & 0o777 == 0o600
        path.write_text("{")
        mine.run(*RUN)
        assert len(got) == 2
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("in the way")
        ran = mine.run(*RUN)
        assert "cannot be remembered" in ran.report["problems"][0]["message"] and len(got) == 3


def test_the_test_message_reaches_all_or_says_who_it_did_not(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://{host}/ok", f"json://{host}/500")
        ran = mine.run("audit", "--notify-test")
        assert (ran.code, ran.out) == (
            2,
            "notify 1: delivered\nnotify 2: the test message could not be delivered\n",
        )
        assert len(got) == 4 and "test" in got[0][1]["title"]
        assert staged(tmp_path, f"json://{host}/ok").run("audit", "--notify-test").code == 0
    ran = staged(tmp_path).run("audit", "--notify-test")
    assert ran.code == 2 and "names nobody" in ran.err


def test_a_sample_is_told_to_nobody(tmp_path: Any) -> None:
    from auditor.cli import _notices
    from auditor.config import Config

    with server() as (host, got):
        settings = Config(
            path=tmp_path / "auditor.yaml", accounts=(), identity_key="", history="", notify=(f"json://{host}/ok",),
            vault=tmp_path / "vault.bin",
        )  # fmt: skip
        value = report(bad_account(), sample=True)
        assert _notices.tell(value, settings, None, floor=LOW, quiet=True) is value and got == []


def test_an_audit_tells_what_changed_and_nothing_when_it_is_told_not_to(tmp_path: Any) -> None:
    with server() as (host, got):
        mine = staged(tmp_path, f"json://{host}/ok")
        stated = {"schema": "auditor/evidence/1", "attested_at": "2026-11-19"}
        mine.write("attest/main-okx.yaml", json.dumps({**stated, "account": {"login_weakest_factor": "sms"}}))
        assert mine.run("audit", "--yes", "-q", "--no-notify", "--no-history").code == 13
        assert got == []
        assert mine.run("audit", "--yes", "-q", "--notify-on", "critical").code == 13
        [(_, first)] = got
        assert "CRITICAL main-okx" in first["message"] and "HIGH" not in first["message"]
        assert mine.run("audit", "--yes", "-q", "--notify-on", "critical").code == 13
        assert len(got) == 1
        better = {"login_weakest_factor": "totp", "step_up_weakest_factor": "totp"}
        mine.write("attest/main-okx.yaml", json.dumps({**stated, "account": better}))
        mine.run("audit", "--yes", "-q", "--notify-on", "critical")
        assert len(got) == 2 and "no longer failing" in got[1][1]["title"]


def test_a_notice_that_fails_is_in_the_report_and_in_the_stored_run(tmp_path: Any) -> None:
    with server() as (old, _):
        mine = staged(tmp_path, f"json://{old}/500")
        ran = mine.run("audit", "--yes", "-q", "-f", "json")
        assert "notify 1" in [problem["where"] for problem in ran.report["problems"]]
    stored = mine.run("report", "last", "-f", "json")
    assert "notify 1" in [problem["where"] for problem in stored.report["problems"]]
    with server() as (host, got):
        mine.write("auditor.yaml", (mine.work / "auditor.yaml").read_text().replace("500", "ok").replace(old, host))
        mine.run("audit", "--yes", "-q")
        assert len(got) == 1, "what nobody heard is told by the next run, though the history knows it"
