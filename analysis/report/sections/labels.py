"""The section on labels that are probably wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.report.blocks import Block, Section, Strip, Table, Words, many, missing
from analysis.report.image_sheets import TILES, tile
from analysis.report.json_reading import entries, mapping, real, text, texts, whole
from balancer.collection.scan import Collection

_ROWS, _PAIRS = 50, 8


@dataclass(frozen=True, slots=True)
class Suspected:
    """What `balance check-labels` found and still holds: rows of image, given, suggested, quality; small images."""

    checked: int
    rows: Sequence[tuple[str, str, str, float]]
    tiles: Mapping[tuple[str, str], Sequence[str]]
    notes: Sequence[str]


def read_suspected(kept: Mapping[str, Any], collection: Collection, *, private: bool) -> Suspected | None:
    """What was kept, without images that are gone, left out, or have another label by now; `None` where nothing was."""
    if not kept:
        return None
    label_of = collection.images["label"].to_dict()
    found = (mapping(each) for each in entries(kept.get("suspected")))
    rows = [
        (text(each.get("image")), text(each.get("given")), text(each.get("suggested")), real(each.get("quality")) or 0)
        for each in found
    ]
    rows = [row for row in rows if label_of.get(row[0]) == row[1]]
    by_pair: dict[tuple[str, str], list[str]] = defaultdict(list)
    for image, given, suggested, _ in [] if private else rows:
        if len(by_pair[given, suggested]) < TILES and (uri := tile(collection.root / image)):
            by_pair[given, suggested].append(uri)
    return Suspected(whole(kept.get("checked")) or 0, rows, by_pair, texts(kept.get("notes")))


def suspected_labels(found: Suspected | None, *, private: bool) -> Section:
    """Images that classifiers would label otherwise; with `private` only their numbers."""
    title = "Suspected labels"
    if found is None:
        return Section("labels", title, missing("Not checked yet.", "balance check-labels"))
    note = (
        f"Of {many(found.checked, 'image')}, {len(found.rows):,} look like another class to classifiers that have not "
        "seen their patients (confident learning). The quality is the probability of the given label: 0 is worst. "
        "A difficult image has a low one too, so a person decides."
    )
    blocks: list[Block] = [Words(note), *(Words(each, "quiet") for each in found.notes)]
    if found.rows:
        blocks.append(_by_pair(found.rows))
    if found.rows and not private:
        strips = [
            Strip(f"labelled {given}", [(f"looks like {suggested}", tiles)])
            for (given, suggested), tiles in [*found.tiles.items()][:_PAIRS]
        ]
        rows = [[image, given, suggested, f"{quality:.3f}"] for image, given, suggested, quality in found.rows[:_ROWS]]
        caption = f"The worst first{f', {_ROWS} of {len(found.rows):,}' if len(found.rows) > _ROWS else ''}"
        blocks += [*strips, Table(caption, ["image", "given", "suggested", "quality"], rows, prose=True)]
    return Section("labels", title, blocks)


def _by_pair(rows: Sequence[tuple[str, str, str, float]]) -> Table:
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for _, given, suggested, _ in rows:
        counts[given, suggested] += 1
    shown = sorted(counts.items(), key=lambda each: -each[1])
    return Table(
        "Suspected labels by class",
        ["given label", "suggested label", "images"],
        [[given, suggested, f"{count:,}"] for (given, suggested), count in shown],
    )
