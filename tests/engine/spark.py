"""The child that runs Spark in local mode: reads requests, a line each, from stdin, and answers on stdout.

Runs in an environment of its own that has pyspark and nothing of ours. ANSI mode is on, as it is by default since Spark 4.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever Java prints is no answer
    with tempfile.TemporaryDirectory() as folder:
        session = _session(folder)
        for line in sys.stdin:
            answers.write(json.dumps(_answer(session, json.loads(line))) + "\n")
            answers.flush()
        session.stop()


def _session(folder: str) -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[1]").appName("differential")
    for name, value in {
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(Path(folder) / "warehouse"),
        "spark.local.dir": folder,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "2g",
    }.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _answer(session: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        if "sql" in request:
            return {"rows": [list(row) for row in session.sql(request["sql"]).collect()]}
        for name, (columns, rows) in request["tables"].items():
            types = list(columns.values())
            made = [
                [
                    datetime.fromisoformat(value) if type_ == "timestamp" and value is not None else value
                    for type_, value in zip(types, row, strict=True)
                ]
                for row in rows
            ]
            schema = ", ".join(f"`{column}` {type_}" for column, type_ in columns.items())
            session.createDataFrame(made, schema).createOrReplaceTempView(name)
    except Exception as error:  # noqa: BLE001  (whatever it is, the test is told)
        return {"error": f"{type(error).__name__}: {error}"[:4000]}
    return {}


if __name__ == "__main__":
    main()
