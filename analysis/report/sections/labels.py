"""The section on labels that are probably wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from analysis.report.data import Facts
from analysis.report.formatting import count

_ROWS, _PAIRS = 50, 8


def labels(facts: Facts) -> Mapping[str, Any]:
    """Images that classifiers would label otherwise; in private only their numbers."""
    found = facts.suspected
    if found is None:
        return {"found": None}
    rows = [] if facts.private else found.suspected[:_ROWS]
    pairs = Counter((each.given, each.suggested) for each in found.suspected)
    return {
        "found": found,
        "pairs": [[given, suggested, count(size)] for (given, suggested), size in pairs.most_common()],
        "strips": list(facts.suspected_tiles.items())[:_PAIRS],
        "rows": [[each.image, each.given, each.suggested, f"{each.quality:.3f}"] for each in rows],
    }
