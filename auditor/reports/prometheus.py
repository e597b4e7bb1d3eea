"""The report as a Prometheus textfile (exposition format 0.0.4), for node_exporter's textfile collector.

Holds numbers only: no key, no label text of a venue and no timestamp of a sample, for which the collector refuses a file.
What nobody knows has no sample: a gauge that is missing is never a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from auditor.model.report import AccountReport, Finding, Outcome, Report, Score
from auditor.model.rule import Severity
from auditor.redaction import printable
from auditor.reports._numbers import exact
from auditor.reports._wording import SAMPLE

_COUNTED = (Outcome.FAIL, Outcome.UNKNOWN, Outcome.ERROR)
_DRIFTS = ("new", "removed", "widened", "changed", "doubted")
_LONGEST = 128
_HELP = {
    "auditor_info": "What made these numbers; always 1.",
    "auditor_run_timestamp_seconds": "When the run began.",
    "auditor_run_problems": "What went wrong beside the evidence: history, notices, waivers.",
    "auditor_accounts": "Accounts in the report.",
    "auditor_complete": "1 where everything that can be seen was seen, 0 where a call failed or a rule ended in error.",
    "auditor_last_audit_timestamp_seconds": "When the evidence was collected.",
    "auditor_last_success_timestamp_seconds": "When the evidence was collected; only of an account that was read completely.",
    "auditor_score_low": "Score from 0 to 100, every unknown counted as a failure.",
    "auditor_score_high": "Score from 0 to 100, every unknown counted as a pass.",
    "auditor_score_low_with_waivers": "The low score with the accepted risks taken out.",
    "auditor_score_high_with_waivers": "The high score with the accepted risks taken out.",
    "auditor_coverage_ratio": "Share of what matters that could be decided, 0 to 1.",
    "auditor_findings": "Findings by severity and outcome; a waived failure is a failure.",
    "auditor_findings_waived": "Failing findings that the owner accepted.",
    "auditor_api_keys": "API keys that were seen.",
    "auditor_api_keys_complete": "1 where the list of API keys is known to be whole, 0 where it is known not to be.",
    "auditor_drift": "Differences to the approved inventory, or to the run before, by kind.",
}
"""Every metric, all of them gauges, in the order in which they are written."""

Sample = tuple[str, dict[str, str], float | None]


def render(report: Report) -> bytes:
    """UTF-8 text: HELP and TYPE once a metric, then its samples; ends with a line feed."""
    found: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in _samples(report):
        if value is not None:
            found[name].append(f"{name}{_labels(labels)} {_number(value)}")
    lines = [f"# {SAMPLE}"] if report.run.sample else []
    for name, samples in found.items():
        if samples:
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} gauge", *samples]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _samples(report: Report) -> Iterator[Sample]:
    run = report.run
    method = {"version": run.version, "ruleset": run.ruleset_sha256[:12], "formula": run.formula}
    yield "auditor_info", {**method, "sample": str(run.sample).lower()}, 1
    yield "auditor_run_timestamp_seconds", {}, _seconds(run.started_at)
    yield "auditor_run_problems", {}, len(report.problems)
    yield "auditor_accounts", {}, len(report.accounts)
    incomplete = frozenset(report.summary.incomplete_accounts)
    for labels, account in _newest(report.accounts):
        yield from _of_account(account, labels, complete=account.name not in incomplete)


def _newest(accounts: Sequence[AccountReport]) -> Iterator[tuple[dict[str, str], AccountReport]]:
    """Each account once, by what its labels say: two samples with the same labels would spoil the whole file."""
    chosen: dict[tuple[str, str], tuple[datetime, int]] = {}
    for place, account in enumerate(accounts):
        key = (_shown(account.name), _shown(account.exchange))
        if key not in chosen or account.collected_at > chosen[key][0]:
            chosen[key] = (account.collected_at, place)
    for (name, exchange), (_, place) in sorted(chosen.items()):
        yield {"account": name, "exchange": exchange}, accounts[place]


def _of_account(account: AccountReport, labels: dict[str, str], *, complete: bool) -> Iterator[Sample]:
    yield "auditor_complete", labels, int(complete)
    yield "auditor_last_audit_timestamp_seconds", labels, _seconds(account.collected_at)
    if complete:
        yield "auditor_last_success_timestamp_seconds", labels, _seconds(account.collected_at)
    yield from _ends(account.score, labels, "")
    if account.with_waivers:
        yield from _ends(account.with_waivers, labels, "_with_waivers")
    yield "auditor_coverage_ratio", labels, account.score.coverage
    yield from _findings(account.findings, labels)
    keys, whole = account.inventory.api_keys, account.inventory.complete
    yield "auditor_api_keys", labels, None if keys is None else len(keys)
    yield "auditor_api_keys_complete", labels, None if whole is None else int(whole)
    if account.drift is not None:
        kinds = Counter(one.kind for one in account.drift)
        for kind in _DRIFTS:
            yield "auditor_drift", {**labels, "kind": kind}, kinds[kind]


def _ends(score: Score, labels: dict[str, str], suffix: str) -> Iterator[Sample]:
    yield f"auditor_score_low{suffix}", labels, score.low
    yield f"auditor_score_high{suffix}", labels, score.high


def _findings(findings: Iterable[Finding], labels: dict[str, str]) -> Iterator[Sample]:
    """Zeros are written too: a series that ends when the last finding is mended fires no alert and clears none."""
    counts: Counter[tuple[Severity, Outcome]] = Counter()
    waived: Counter[Severity] = Counter()
    for finding in findings:
        counts[finding.severity, finding.outcome] += 1
        waived[finding.severity] += finding.waiver is not None
    for severity in Severity:
        for outcome in _COUNTED:
            named = {**labels, "severity": severity.value, "outcome": outcome.value}
            yield "auditor_findings", named, counts[severity, outcome]
        yield "auditor_findings_waived", {**labels, "severity": severity.value}, waived[severity]


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else str(exact(value))


def _shown(text: str) -> str:
    return printable(text, limit=_LONGEST)


def _labels(labels: dict[str, str]) -> str:
    escaped = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    joined = ",".join(escaped)
    return f"{{{joined}}}" if joined else ""


@lru_cache(maxsize=1024)
def _escaped(text: str) -> str:
    return _shown(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
