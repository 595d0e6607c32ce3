"""A source, `balance scan DATA --source jsonl:labels.jsonl`: a line of JSON for each file, as a database exports it.

{"file": "a/1.png", "finding": "nodule", "patient": "P17"}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from balancer.collection.sources.reading import Labels, Reading
from balancer.collection.walk import Listing


@dataclass(frozen=True)
class Jsonl:
    """Labels and patients of the files that a JSON Lines file names; other files are left out and counted."""

    table: Path

    def read(self, listing: Listing) -> Reading:
        """What the lines tell of the files of the listing."""
        rows = [json.loads(line) for line in self.table.read_text("utf-8").splitlines()]
        told = [{row["file"]: row for row in rows}.get(path) for path in listing.paths]
        labels = Labels.single(["" if row is None else row["finding"] for row in told])
        reading = Reading(listing, labels, [""] * len(told), by_folder=False, how="file name in the JSON lines")
        patients = np.array([row and row["patient"] for row in told], object)
        reading = replace(reading, facts={"patient": patients}, columns={"patient": "patient"})
        return reading.only(np.array([row is not None for row in told], bool), "unlabelled")


def jsonl(argument: str, root: str) -> Jsonl:
    """What the entry point names."""
    return Jsonl(Path(argument))
