"""Unit files, each read by the tool that will read it, with paths that try to get out of their quotes."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import crontab
import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from auditor import schedule
from auditor.errors import UsageError
from auditor.schedule import cron, launchd, systemd
from auditor.schedule.every import Slots, length, slots
from tests import stage

EVERY = ("5m", "10m", "15m", "20m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d", "24h", "1w", "7d")
KUBERNETES = ("1.30", "1.35")
NASTY = """sp ace "q" 'a' $HOME ${x} $(id) `id` %h 100% ; & | > < * ? [x] ~ # {y} $$ é"""
"""What a folder may be called, short of a backslash and of control characters."""


def plan(every: str = "6h", **more: Any) -> schedule.Plan:
    values: dict[str, Any] = {
        "program": ("/bin/true",),
        "version": "0.1.0",
        "config": "/srv/auditor.yaml",
        "place": "auditor.yaml",
        "options": (),
        "slots": slots(length(every), seed="a"),
        "user": "root",
        "home": "/root",
        "image": "exchange-auditor:0.1.0",
    }
    return schedule.Plan(**{**values, **more})


# Lengths and slots


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("seed", ["a", "b", "/home/me/auditor.yaml"])
def test_slots_lie_evenly(text: str, seed: str) -> None:
    every = length(text)
    week = 7 * 24 * 60
    times = sorted(moments(slots(every, seed=seed)))
    gaps = {(later - sooner) % week or week for sooner, later in zip(times, [*times[1:], times[0]], strict=True)}
    assert gaps == {every // timedelta(minutes=1)}


def moments(when: Slots) -> list[int]:
    """Minutes of a week, Monday first."""
    days = [when.weekday - 1] if when.weekday else range(7)
    return [(day * 24 + hour) * 60 + minute for day in days for hour in when.hours for minute in when.minutes]


@pytest.mark.parametrize("text", ["7h", "45m", "90m", "25m", "2d", "31d", "1m", "4m", "36h", "14d"])
def test_a_length_that_no_calendar_keeps_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="calendar") as caught:
        slots(length(text), seed="a")
    assert "6h" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text", ["", "6", "h", "-6h", "0h", "6.5h", "6 h", "1e3m", "６h", "06h", "99999d", "6h6h", "32d"]
)
def test_what_is_no_length_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no length"):
        length(text)


def test_the_same_configuration_has_the_same_slots_and_others_have_others() -> None:
    minutes = {slots(length("1d"), seed=str(at)).minutes for at in range(50)}
    assert len(minutes) > 20 and slots(length("1d"), seed="x") == slots(length("1d"), seed="x")


@pytest.mark.parametrize("name", schedule.SCHEDULERS)
@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1bb", "a\u2028b", "\ud800"])
@pytest.mark.parametrize("where", ["config", "options", "writes", "place"])
def test_control_characters_get_nowhere(name: str, text: str, where: str) -> None:
    given: Any = (text,) if where in {"options", "writes"} else text
    with pytest.raises(UsageError, match="control"):
        schedule.render(name, plan(**{where: given}))


# systemd


@pytest.fixture
def analyze() -> str:
    """systemd's own checker. Its absence is a failure where everything has to be there."""
    found = shutil.which("systemd-analyze")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("systemd-analyze is missing: apt install systemd")
    return found


def verified(analyze: str, folder: Path, one: schedule.Plan) -> str:
    """What systemd-analyze has to say about the files; nothing where they are right."""
    paths = []
    for name, text in schedule.render("systemd", one).items():
        path = folder / name
        path.write_text(text)
        paths.append(str(path))
    done = subprocess.run([analyze, "verify", "--man=no", *paths], capture_output=True, check=False, text=True)
    return "\n".join(line for line in done.stderr.splitlines() if "auditor" in line) + (
        "failed" * (done.returncode != 0)
    )


@pytest.mark.parametrize("text", EVERY)
def test_systemd_takes_the_files(analyze: str, tmp_path: Path, text: str) -> None:
    assert verified(analyze, tmp_path, plan(text, writes=("/srv/x", "/nowhere"))) == ""


def test_systemd_finds_the_program_in_any_folder(analyze: str, tmp_path: Path) -> None:
    folder = tmp_path / (NASTY.replace("/", "") + " back\\slash \\x41 \\n")
    folder.mkdir()
    program = folder / "auditor"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    files = tmp_path / "units"
    files.mkdir()
    one = plan(program=(str(program),), config=str(folder / "a.yaml"), writes=(str(folder),), options=("--x", NASTY))
    assert verified(analyze, files, one) == ""
    plain = tmp_path / "p $HOME %h 100% (x)"
    plain.mkdir()
    shutil.copy(program, plain / "auditor")
    assert verified(analyze, files, plan(program=(str(plain / "auditor"),))) == ""
    (plain / "auditor").unlink()
    assert "is not executable" in verified(analyze, files, plan(program=(str(plain / "auditor"),)))


@pytest.mark.parametrize("text", EVERY)
def test_systemd_reads_the_calendar_as_it_is_meant(analyze: str, text: str) -> None:
    when = slots(length(text), seed="a")
    command = [
        analyze,
        "calendar",
        "--iterations=40",
        "--base-time=2026-11-16 00:00:00 UTC",
        systemd.calendar(when),
    ]
    said = subprocess.run(command, capture_output=True, check=True, text=True, env={**os.environ, "TZ": "UTC"}).stdout
    found = re.findall(r"(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ 2026-(\d\d)-(\d\d) (\d\d):(\d\d)", said)
    assert len(found) == 40 or (length(text) > timedelta(hours=12) and found)
    times = [
        (int(day) - 16 + (30 if month == "12" else 0)) * 1440 + int(hour) * 60 + int(minute)
        for month, day, hour, minute in found
    ]
    assert {later - sooner for sooner, later in pairwise(times)} == {length(text) // timedelta(minutes=1)}
    assert times[0] % (7 * 1440) in moments(when)


def test_systemd_calls_the_service_safe(analyze: str, tmp_path: Path) -> None:
    path = tmp_path / "auditor.service"
    path.write_text(schedule.render("systemd", plan(user="nobody"))["auditor.service"])
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=30", str(path)],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_a_program_that_systemd_cannot_name_is_started_by_the_shell(echo: Path) -> None:
    one = plan(program=(str(echo),), options=("--x", NASTY))
    [line] = [
        line for line in schedule.render("systemd", one)["auditor.service"].splitlines() if line.startswith("Exec")
    ]
    assert shown(words_of(line)) == list(one.audit(one.config))


def test_a_finding_is_no_failure_to_systemd() -> None:
    service = schedule.render("systemd", plan())["auditor.service"]
    assert "SuccessExitStatus=4 10 11 12 13\n" in service and "User=root\n" in service


def words_of(line: str) -> list[str]:
    """A command line as systemd takes it apart: by its manual, quotes, escapes, specifiers and then variables."""
    found = []
    for at, word in enumerate(re.findall(r'"((?:[^"\\]|\\.)*)"', line)):
        text = re.sub(r"\\(.)", r"\1", word).replace("%%", "%")
        found.append(text if at == 0 else text.replace("$$", "$"))
    return found


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z")), max_size=20), max_size=3))
def test_words_come_back_from_a_unit_file(options: list[str]) -> None:
    one = plan(options=tuple(options), config=f"/x {NASTY}")
    [line] = [
        line for line in schedule.render("systemd", one)["auditor.service"].splitlines() if line.startswith("Exec")
    ]
    assert words_of(line.removeprefix("ExecStart=")) == [*one.program, *one.audit(one.config)]
    assert re.fullmatch(r'ExecStart=("([^"\\]|\\.)*"( |$))+', line)


# cron


def command_of(text: str) -> tuple[str, str]:
    """Fields and command of the one line of a crontab, as cron hands it to the shell."""
    [line] = [line for line in text.splitlines() if line and not line.startswith("#")]
    when, command = re.fullmatch(r"((?:\S+ ){5})(.*)", line).groups()  # type: ignore[union-attr]
    assert not re.search(r"(?<!\\)%", command), "cron ends the command at a bare percent sign"
    return when.strip(), command.replace("\\%", "%")


@pytest.mark.parametrize("text", EVERY)
def test_cron_takes_the_line(text: str) -> None:
    tab = crontab.CronTab(tab=schedule.render("cron", plan(text))["auditor.crontab"])
    [job] = list(tab)
    assert job.is_valid() and job.is_enabled() and job.command.startswith("/bin/true audit --yes --quiet -c /srv")
    when = slots(length(text), seed="a")
    assert sorted(minutes_of(str(job.slices))) == sorted(moments(when))


def minutes_of(fields: str) -> list[int]:
    """Minutes of a week, Monday first, of five fields that hold stars and lists."""
    minute, hour, _, _, day = fields.split()
    days = range(7) if day == "*" else [(int(one) - 1) % 7 for one in day.split(",")]
    hours = range(24) if hour == "*" else [int(one) for one in hour.split(",")]
    return [(one * 24 + two) * 60 + int(three) for one in days for two in hours for three in minute.split(",")]


def shown(command: list[str] | str, **more: Any) -> list[str]:
    """The words that a program is given, told by the program itself."""
    done = subprocess.run(command, capture_output=True, check=True, text=True, shell=isinstance(command, str), **more)
    return done.stdout.split("\x00")[:-1]


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A program called auditor, in a nasty folder, that says its words."""
    folder = tmp_path / NASTY.replace("/", "")
    folder.mkdir()
    program = folder / "auditor"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\nexit ${CODE:-0}\n')
    program.chmod(0o755)
    return program


def test_the_shell_of_cron_runs_what_is_meant(echo: Path) -> None:
    one = plan(program=(str(echo),), config=f"/srv/{NASTY}/a.yaml", options=("--x", NASTY, ""))
    _, command = command_of(schedule.render("cron", one)["auditor.crontab"])
    assert shown(command) == list(one.audit(one.config))
    told = schedule.render("cron", replace(one, told=True))["auditor.crontab"]
    assert command_of(told)[1] == f"{command} >/dev/null" and "mails" not in told


def test_cron_is_given_no_backslash() -> None:
    with pytest.raises(UsageError, match="backslash"):
        schedule.render("cron", plan(config="/a\\%b"))


# launchd


@pytest.mark.parametrize("text", EVERY)
def test_the_agent_is_a_property_list(text: str) -> None:
    one = plan(text, config=f"/srv/{NASTY}<&>/a.yaml", options=("--x", "]]>"))
    agent = plistlib.loads(schedule.render("launchd", one)["exchange-auditor.plist"].encode())
    assert agent["ProgramArguments"] == [*one.program, *one.audit(one.config)]
    assert agent["Umask"] == 0o77 and agent["StandardErrorPath"] == "/root/Library/Logs/exchange-auditor.log"
    when = slots(length(text), seed="a")
    found = [
        (day * 24 + hour) * 60 + time["Minute"]
        for time in launchd.times(when)
        for day in ([(time["Weekday"] - 1) % 7] if "Weekday" in time else range(7))
        for hour in ([time["Hour"]] if "Hour" in time else range(24))
    ]
    assert agent["StartCalendarInterval"] == launchd.times(when)
    assert sorted(found) == sorted(moments(when))


# Kubernetes


def objects(one: schedule.Plan) -> list[dict[str, Any]]:
    documents = list(yaml.safe_load_all(schedule.render("kubernetes", one)["auditor-cronjob.yaml"]))
    for document in documents:
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)
    return documents


def container(job: dict[str, Any]) -> dict[str, Any]:
    [found] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    result: dict[str, Any] = found
    return result


def expanded(text: str) -> str:
    """What Kubernetes makes of a word: $(NAME) is replaced where it is known, two dollars are one."""
    return re.sub(r"\$(\$|\((\w+)\))", lambda found: "$" if found[1] == "$" else f"<{found[2]}>", text)


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("shards", [1, 8])
def test_kubernetes_takes_the_objects(text: str, shards: int) -> None:
    claim, *jobs = objects(plan(text, shards=shards, variables=("OKX_API_KEY", "OKX_SECRET")))
    assert claim["kind"] == "PersistentVolumeClaim" and len(jobs) == (1 if shards == 1 else 2)
    assert minutes_of(jobs[0]["spec"]["schedule"])
    for job in jobs:
        spec, pod = job["spec"]["jobTemplate"]["spec"], job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        assert job["spec"]["concurrencyPolicy"] == "Forbid" and job["spec"]["timeZone"] == "Etc/UTC"
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        inside = container(job)["securityContext"]
        assert inside["readOnlyRootFilesystem"] and not inside["allowPrivilegeEscalation"]
        assert inside["capabilities"] == {"drop": ["ALL"]}
        secrets = [one for one in container(job)["env"] if "valueFrom" in one]
        assert [one["name"] for one in secrets] == ["OKX_API_KEY", "OKX_SECRET"]
        assert all(one["valueFrom"]["secretKeyRef"]["name"] == "auditor-credentials" for one in secrets)
        assert spec.get("completionMode") == ("Indexed" if shards > 1 and job is jobs[0] else None)


@pytest.mark.parametrize("text", EVERY)
def test_shards_are_judged_after_they_are_collected(text: str) -> None:
    _, collect, judge = objects(plan(text, shards=3))
    first, second = (sorted(minutes_of(job["spec"]["schedule"])) for job in (collect, judge))
    week, most = 7 * 1440, length(text) // timedelta(minutes=1)
    waits = {min((later - sooner) % week for later in second) for sooner in first}
    assert len(first) == len(second) and len(waits) == 1 and 0 < waits.pop() <= max(1, min(30, most // 2))


def test_a_pod_runs_what_is_meant_and_a_finding_is_no_failure(echo: Path) -> None:
    one = plan(options=("--x", NASTY, "$(HOME)", "$$(HOME)", ""))
    [_, job] = objects(one)
    command = [expanded(word) for word in [*container(job)["command"], *container(job)["args"]]]
    environ = {"PATH": f"{echo.parent}:{os.environ['PATH']}"}
    assert shown(command, env=environ) == list(one.audit("/etc/auditor/auditor.yaml"))
    for code, expected in ((0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (10, 0), (13, 0), (14, 14), (130, 130)):
        done = subprocess.run(command, env={**environ, "CODE": str(code)}, capture_output=True, check=False)
        assert done.returncode == expected


def test_each_pod_collects_its_shard(echo: Path) -> None:
    _, collect, judge = objects(plan(shards=3, options=("-f", "json")))
    assert collect["spec"]["jobTemplate"]["spec"]["completions"] == 3
    command = [expanded(word) for word in [*container(collect)["command"], *container(collect)["args"]]]
    [shards] = [one["value"] for one in container(collect)["env"] if one["name"] == "SHARDS"]
    for index in range(3):
        environ = {"PATH": f"{echo.parent}:{os.environ['PATH']}", "SHARDS": shards, "JOB_COMPLETION_INDEX": str(index)}
        said = shown(command, env=environ)
        assert said[:4] == ["collect", "--quiet", "-c", "/etc/auditor/auditor.yaml"]
        assert said[4:] == ["--shard", f"{index + 1}/3", "-o", f"/var/lib/auditor/evidence/part-{index}.jsonl"]
    command = [expanded(word) for word in [*container(judge)["command"], *container(judge)["args"]]]
    said = shown(command, env={"PATH": f"{echo.parent}:{os.environ['PATH']}"})
    assert said[0] == "evaluate" and said[-4:] == ["--quiet", "--notify", "-f", "json"]


# GitHub Actions


def test_the_workflow_is_what_github_expects(echo: Path) -> None:
    one = plan(place=NASTY.replace("${x}", ""), options=("--x", "$HOME `id`"), variables=("OKX_API_KEY",))
    text = schedule.render("github-actions", one)["auditor.yml"]
    workflow = yaml.load(text, yaml.BaseLoader)  # `on` is a word here, not a truth
    assert set(workflow) == {"name", "on", "permissions", "concurrency", "jobs"}
    assert workflow["permissions"] == {"contents": "read"} and set(workflow["on"]) == {"schedule", "workflow_dispatch"}
    assert minutes_of(workflow["on"]["schedule"][0]["cron"])
    [job] = workflow["jobs"].values()
    checkout, install, audit = job["steps"]
    assert re.fullmatch(r"actions/checkout@[0-9a-f]{40}", checkout["uses"]), "an action is pinned by its commit"
    assert checkout["with"] == {"persist-credentials": "false"} and "==0.1.0" in install["run"]
    assert audit["env"] == {"OKX_API_KEY": "${{ secrets.OKX_API_KEY }}"}
    assert re.findall(r"\$\{\{.*?\}\}", text) == ["${{ secrets.OKX_API_KEY }}"]
    said = shown(audit["run"], env={"PATH": f"{echo.parent}:{os.environ['PATH']}", "RUNNER_TEMP": "/tmp/a b"})
    assert said == [*one.audit(one.place), "-o", "/tmp/a b/report"]


def test_github_is_given_no_expression() -> None:
    for more in ({"place": "a ${{ secrets.X }}"}, {"options": ("${{ github.token }}",)}):
        with pytest.raises(UsageError, match="GitHub"):
            schedule.render("github-actions", plan(**more))


# The command


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    made = stage.Stage(tmp_path)
    row = {"name": "main", "exchange": "okx", "credentials": {}}
    row["credentials"] = {"apiKey": "env:OKX_API_KEY", "secret": "env:OKX_SECRET", "password": "file:pass"}
    made.write("auditor.yaml", json.dumps({"version": 1, "accounts": [row], "notify": ["env:HOOK"]}))
    return made


@pytest.mark.parametrize("name", schedule.SCHEDULERS)
def test_each_is_printed_and_written(mine: stage.Stage, name: str) -> None:
    ran = mine.run("schedule", name, "--every", "1d")
    assert ran.code == 0 and (name in {"kubernetes", "github-actions"} or str(mine.work / "auditor.yaml") in ran.out)
    assert mine.run("schedule", name, "--every", "1d", "-o", "units").out == ""
    written = {path.name: path.read_text() for path in (mine.work / "units").iterdir()}
    assert written and all(text.strip() in ran.out for text in written.values())
    if name in {"kubernetes", "github-actions"}:
        assert all(variable in ran.out for variable in ("OKX_API_KEY", "OKX_SECRET", "HOOK"))
    if name in {"cron", "launchd"}:
        assert "HOOK, OKX_API_KEY, OKX_SECRET" in ran.err


def test_without_a_configuration_the_usual_place_is_named(tmp_path: Path) -> None:
    ran = stage.Stage(tmp_path).run("schedule", "systemd")
    assert ran.code == 0 and f'"-c" "{tmp_path}/.config/auditor/auditor.yaml"' in ran.out and "remark:" in ran.err


def test_options_of_the_audit_come_after_two_dashes(mine: stage.Stage) -> None:
    ran = mine.run(
        "schedule", "systemd", "--", "-f", "prometheus", "-o", "/var/lib/x y/auditor.prom", "--fail-on", "high"
    )
    assert '"-f" "prometheus" "-o" "/var/lib/x y/auditor.prom" "--fail-on" "high"' in ran.out
    assert 'ReadWritePaths="-/var/lib/x y"\n' in ran.out


@pytest.mark.parametrize(
    "args",
    [
        ("anacron",),
        ("systemd", "--every", "7h"),
        ("systemd", "--shards", "4"),
        ("kubernetes", "--shards", "0"),
        ("kubernetes", "--image", "a b"),
        ("kubernetes", "--image", '$(x)"'),
        ("cron", "--", "-f", "jsn"),
        ("cron", "--", "-o", "relative.json"),
        ("cron", "--", "--frobnicate"),
        ("cron", "--", "-c", "other.yaml"),
        ("cron", "-c", "nowhere.yaml"),
        (),
    ],
)
def test_what_cannot_work_is_told(mine: stage.Stage, args: tuple[str, ...]) -> None:
    ran = mine.run("schedule", *args)
    assert ran.code == 2 and ran.out == "" and "error:" in ran.err


def test_cron_fields_name_sunday_zero() -> None:
    assert cron.fields(Slots(every=timedelta(weeks=1), minutes=(5,), hours=(6,), weekday=7)) == "5 6 * * 0"
