"""What Python and C++ must both answer: tests/vectors, made by scripts/make_vectors.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "vectors"


def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file."""
    content: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return content


def old_records() -> dict[str, Any]:
    """Return records as adafuse-deploy 0.1.0 wrote them."""
    records: dict[str, Any] = json.loads((FOLDER / "records_0.1.0.json").read_text())
    return records
