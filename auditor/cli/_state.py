"""Where the program keeps what it may lose: what was told, and who is watching. One file a configuration."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def place(config: Path, name: str) -> Path:
    """A file in the XDG state folder that belongs to this configuration."""
    from auditor import credentials

    named = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(named) if named.startswith("/") else credentials.expand("~/.local/state", os.environ)
    mark = hashlib.sha256(os.path.realpath(config).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return folder / "auditor" / f"{mark}-{name}"
