"""What `balance compare` prints and keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.comparison.inference.result import Comparison
    from analysis.comparison.inference.selection import Choice
    from analysis.comparison.training.replicates import Leg
    from balancer.workspace.workspace import Session

METRICS = "metrics.json"


def save_metrics(session: Session, found: Comparison, folder: Path | None) -> Path:
    """Keep the result for programs and for the report, whole or not at all."""
    from analysis.comparison.inference.result import as_json
    from analysis.report.data import OF_FOLDER
    from balancer.dataset.metadata_files import MANIFEST
    from balancer.files import sha256_if_there, write_whole

    session.state.reports.mkdir(exist_ok=True)
    place = session.state.reports / METRICS
    content = as_json(found) | ({} if folder is None else {OF_FOLDER: sha256_if_there(folder / MANIFEST)})
    write_whole(place, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    return place


def show_left_out(left_out: Mapping[str, str]) -> None:
    """Say which arms are not run, and why."""
    for name, why in left_out.items():
        message(f"Left out: {printable(name)}: {printable(why)}.")


def show_schedule(legs: Sequence[Leg]) -> None:
    """Say how long every arm trains, and at which rates."""
    for leg in legs:
        if leg.schedule is None:
            continue
        where = f"{leg.name}: " if leg.name else ""
        rates = ", ".join(f"{arm} {rate:g}" for arm, rate in leg.schedule.rates.items())
        chosen = f"; learning rates chosen on validation: {rates}" if rates else ""
        message(printable(f"{where}every arm trains for {leg.schedule.steps} steps{chosen}."))


def show_validation(choice: Choice, primary: str) -> None:
    """The arms by the primary endpoint on validation, the best first; the test part stays closed."""
    from analysis.statistics.metric_labels import metric_in_words

    rows = sorted(choice.validation.items(), key=lambda row: -row[1])
    chosen = (choice.free, choice.synthetic)
    header = ["arm", f"{metric_in_words(primary)} on validation"]
    result(table(header, [[f"{name}{'*' if name in chosen else ''}", f"{value:.3f}"] for name, value in rows]))
    result("* the arms of the verdict.")
    result(printable(choice.sentence))
    result("The test split stays closed. To open it: the same command without --validation-only")


def show_comparison(found: Comparison, place: Path) -> None:
    """The verdict first, its points and stamps, then every arm."""
    from analysis.comparison.inference.result import table as rows
    from analysis.statistics.metric_labels import metric_in_words

    result(printable(found.sentence))
    for point in found.points:
        result(printable(f"- {point}"))
    if found.facts.exchange:
        result(printable(f"- {found.facts.exchange['sentence']}"))
    if found.facts.stamps:
        result("Stamps:")
    for stamp in found.facts.stamps:
        result(printable(f"- {stamp}"))
    result()
    rare = found.primary.partition(":")[2]
    header = ["arm", metric_in_words(found.primary), "difference", "macro F1", f"recall {rare}"]
    result(table(header, rows(found)))
    result()
    result("* the arms of the verdict; differences are to its baseline; 95% intervals over patients and seeds.")
    if found.unfinished:
        result("+ still improving when its training ended.")
    message(f"All figures: {shown(place)}. Look at them: balance report")
