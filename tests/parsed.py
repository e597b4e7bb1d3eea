"""Writes `auditor/parsed.jsonl` anew: `python -m tests.parsed`. The YAML files of the package, read by the one reader."""

from __future__ import annotations

import hashlib
import json

from auditor import yamlio


def spelled() -> bytes:
    """The text of the file: an index (file -> where its line starts behind the index, its length, its sha256), then a line a file."""
    package = yamlio.PARSED.parent
    index, lines, start = {}, [], 0
    for path in sorted(package.rglob("*.yaml")):
        line = json.dumps(yamlio.read(path).value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        index[path.relative_to(package).as_posix()] = [start, len(line), hashlib.sha256(path.read_bytes()).hexdigest()]
        lines.append(line)
        start += len(line)
    return json.dumps(index, separators=(",", ":")).encode() + b"\n" + b"".join(lines)


if __name__ == "__main__":
    yamlio.PARSED.write_bytes(spelled())
