"""`auditor schedule`: ready unit files for systemd, cron, launchd, Kubernetes and GitHub Actions."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditor import __version__, config
from auditor.cli import _options, _voice
from auditor.errors import UsageError

if TYPE_CHECKING:
    from auditor.config import Config

_NAMES = ("systemd", "cron", "launchd", "kubernetes", "github-actions")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._:/@-]{0,253}[a-z0-9])?")
_MOST_SHARDS = 10_000
_HELP = """Print unit files that audit every so often, for the scheduler you have: systemd, cron, launchd, kubernetes or
github-actions. AUDIT_OPTIONS, after --, are those of `auditor audit`.

\b
Examples:
  auditor schedule systemd --every 6h -o units/
  auditor schedule cron --every 1d -- -f html -o /home/me/report.html
  auditor schedule kubernetes --every 1h --shards 8
"""


@click.command("schedule", help=_HELP)
@click.argument("scheduler", type=click.Choice(_NAMES))
@click.option("--every", default="6h", show_default=True, metavar="LENGTH", help="How often: 15m, 6h, 1d, 1w.")
@click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A folder for the files (default: stdout).")
@click.option(
    "--shards",
    type=click.IntRange(1, _MOST_SHARDS),
    default=1,
    show_default=True,
    help="kubernetes: collect the accounts in so many pods.",
)
@click.option(
    "--image",
    default=f"exchange-auditor:{__version__}",
    show_default=True,
    help="kubernetes: the image that holds the program.",
)
@click.argument("audit_options", nargs=-1, type=click.UNPROCESSED)
def command(
    scheduler: str,
    every: str,
    config_path: Path | None,
    output: Path | None,
    audit_options: tuple[str, ...],
    **options: Any,
) -> None:
    from auditor import schedule
    from auditor.schedule.every import length, slots

    if not _IMAGE.fullmatch(options["image"]):
        raise UsageError("--image is no name of an image")
    if options["shards"] > 1 and scheduler != "kubernetes":
        raise UsageError("--shards is for kubernetes")
    hosts, target = _checked(audit_options)
    path, settings = _configured(config_path, hosts)
    plan = schedule.Plan(
        program=_program(),
        version=__version__,
        config=str(path),
        place=_place(path),
        options=audit_options,
        slots=slots(length(every), seed=str(path)),
        user=_user(),
        home=str(Path.home()),
        variables=tuple(sorted(set(_variables(settings)))),
        writes=tuple(sorted(set(_writes(settings, target)))),
        told=bool(settings and settings.notify),
        output=target is not None,
        **options,
    )
    files = schedule.render(scheduler, plan)
    for name, text in files.items():
        if output is not None:
            _options.write(output / name, text.encode())
        else:
            _voice.result(f"# {name}\n{text}" if len(files) > 1 else text.rstrip("\n"))
    if output is not None:
        _voice.say(f"written to {output}: {', '.join(files)}")
    _remark(settings, scheduler)


def _configured(named: Path | None, hosts: Sequence[str]) -> tuple[Path, Config | None]:
    """The configuration and its path. Where there is none yet, the path at which one is looked for."""
    problem = None
    try:
        settings = _options.settings(named, hosts)
    except UsageError as error:
        if named is not None:
            raise
        problem = error
    if problem is None:
        return settings.path, settings
    path = _folder("XDG_CONFIG_HOME", ".config") / config.NAME
    _voice.say(f"remark: {problem.message}; the files name {path}")
    return path, None


def _checked(given: Sequence[str]) -> tuple[tuple[str, ...], Path | None]:
    """The hosts that the options of the audit allow, and where it writes. Raises what an audit would refuse of them."""
    from auditor.cli import audit

    with audit.command.make_context("auditor audit", list(given)) as context:
        target: Path | None = context.params["output"]
        hosts: tuple[str, ...] = context.params["hosts"]
        if context.params["config_path"] or context.params["notify_test"]:
            raise UsageError("-c belongs before the --, and --notify-test is no audit")
        if target is not None and not target.is_absolute():
            raise UsageError("the -o of the audit must be an absolute path", hint="a scheduler starts elsewhere")
        if target is None:
            _options.check_formats(context.params["formats"], None)
    return hosts, target


def _program() -> tuple[str, ...]:
    """How the program is started from anywhere: the command that was installed with it, else its interpreter."""
    beside = Path(sys.executable).with_name("auditor")
    found = str(beside) if beside.is_file() else shutil.which("auditor")
    return (found,) if found else (sys.executable, "-m", "auditor")


def _place(config: Path) -> str:
    """The configuration as seen from the folder that is worked in, where it lies below it."""
    here = Path.cwd()
    return str(config.relative_to(here)) if config.is_relative_to(here) else config.name


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _variables(settings: Config | None) -> Iterator[str]:
    """The environment variables that the configuration refers to."""
    if settings is None:
        return
    blocks = [text for account in settings.accounts for block in account.credentials for text in block.values()]
    more = (settings.identity_key, settings.history, settings.vault_passphrase or "", *settings.notify)
    for text in (*blocks, *more):
        if text.startswith("env:"):
            yield text.removeprefix("env:")


def _folder(variable: str, usual: str) -> Path:
    """Our own part of an XDG folder."""
    named = os.environ.get(variable, "")
    return (Path(named) if named.startswith("/") else Path.home() / usual) / "auditor"


def _writes(settings: Config | None, target: Path | None) -> Iterator[str]:
    """Folders that an audit writes to."""
    for variable, usual in (
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_STATE_HOME", ".local/state"),
    ):
        yield str(_folder(variable, usual))
    places = (("file:", settings.identity_key), ("sqlite:///", settings.history)) if settings else ()
    for prefix, text in places:
        if text.startswith(prefix) and text.removeprefix(prefix).startswith("/"):
            yield str(Path(text.removeprefix(prefix)).parent)
    if target is not None:
        yield str(target.parent)


def _remark(settings: Config | None, scheduler: str) -> None:
    """What will not work where nobody is logged in."""
    if settings and not settings.notify:
        _voice.say("remark: the configuration names nobody to `notify`: somebody has to look at the results")
    if scheduler in {"cron", "launchd"} and any(_variables(settings)):
        names = ", ".join(sorted(set(_variables(settings))))
        _voice.say(f"remark: {scheduler} starts without your shell's environment: set {names} there, or use file:")
