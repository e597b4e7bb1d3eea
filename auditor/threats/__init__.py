"""How an attacker gets to the money: a model of attacks over the facts of an account, its proofs, and what closes them.

analyst = threats.analyst()                                   # over the shipped model
[reading] = threats.read([document], now, analyst.model)      # evidence documents, through the one evaluator
analyst.reaches(["sim_swap"], reading, now)                   # {"withdraw_funds": PathStatus.CONFIRMED, ...}
paths, hardening = analyst.study(reading, now, source)        # what a report shows
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from auditor.engine import few
from auditor.engine.intake import Evidence
from auditor.threats import load
from auditor.threats.model import Model
from auditor.threats.paths import Analyst
from auditor.threats.posture import Reading, readings

__all__ = ["Analyst", "Model", "Reading", "analyst", "read", "readings"]


@cache
def analyst(*extra: Path) -> Analyst:
    """An analyst over the shipped model and what these files add to it. Raises InputError with every fault."""
    return Analyst(load.load(extra) if extra else load.shipped())


def read(
    documents: Iterable[dict[str, Any]],
    now: datetime,
    model: Model,
    policies: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Reading]:
    """What well-formed evidence documents let the model know. `policies` is exchange id -> the facts of its venue file."""
    with (
        Evidence(now).add(documents) as evidence,
        few.evaluation(evidence, (), policies or {}, also=model.facts) as evaluation,
    ):
        return list(readings(evaluation, model.facts))
