"""What trainings left beside the models that they made here: the losses of their steps."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.report.image_sheets import tile_of
from analysis.report.stored_json import read_stored
from analysis.report.stored_results import ModelCard
from balancer.adapting.common.loss_table import BATCH_LOSS, HOLDOUT, LOSSES
from balancer.store.state_dir import State

MOST = 6
"""Models of which curves are shown, the newest."""
_POINTS = 24
_SHEET = 900  # pixels of its longer side
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Training:
    """One model's name, and of each phase of its training (steps, mean loss of the steps up to there).

    `holdout` are its losses on the generator holdout, `kept` is the step whose weights were kept, where it is known.
    `sheet` shows what it generated there, as a data URI, a row for each class and then for each of the `prompts`.
    """

    name: str
    phases: Mapping[str, Points]
    holdout: Points = ()
    kept: int | None = None
    sheet: str = ""
    prompts: Sequence[str] = ()


def trainings_of(folders: Iterable[Path], state: State, *, private: bool) -> tuple[list[Training], list[str]]:
    """The trainings of folders that have a table of losses, and what is wrong with others; no images if `private`."""
    found, warnings = [], []
    for folder in [each for each in folders if (each / LOSSES).is_file()][:MOST]:
        card = read_stored(folder / "card.json", ModelCard)[0] or ModelCard()
        try:
            phases, holdout = _read(folder / LOSSES)
        except (OSError, ValueError, KeyError, csv.Error):
            place = (folder / LOSSES).relative_to(state.folder.parent)
            warnings.append(f"{place} is damaged and was left out.")
            continue
        kept = card.kept.step
        sheet = "" if private or kept is None else tile_of(folder / "samples" / f"{kept:06d}.png", _SHEET)
        found.append(Training(folder.name, phases, holdout, kept, sheet, card.settings.validation_prompts))
    return found, warnings


def thinned(points: Points, most: int = _POINTS) -> Points:
    """At most so many points: each the mean of some that follow each other, at the last of their steps.

    >>> thinned([(1, 4.0), (2, 2.0), (3, 1.0), (4, 0.0)], most=2)
    [(2, 3.0), (4, 0.5)]
    """
    size = math.ceil(len(points) / most) or 1
    parts = [points[first : first + size] for first in range(0, len(points), size)]
    return [(part[-1][0], math.fsum(y for _, y in part) / len(part)) for part in parts]


def _read(path: Path) -> tuple[dict[str, Points], Points]:
    phases: dict[str, list[tuple[float, float]]] = {}
    holdout = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            if row[BATCH_LOSS]:
                phases.setdefault(row["phase"], []).append((step, float(row[BATCH_LOSS])))
            if row.get(HOLDOUT):
                holdout.append((step, float(row[HOLDOUT])))
    return {phase: thinned(points) for phase, points in phases.items()}, holdout
