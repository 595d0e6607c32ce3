"""What `balance compare` prints and keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.comparison.inference.result import Comparison
    from analysis.comparison.inference.selection import Choice
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


def show_validation(choice: Choice, primary: str) -> None:
    """The arms by the primary endpoint on validation, the best first; the test part stays closed."""
    from analysis.statistics.metric_labels import metric_in_words

    rows = sorted(choice.validation.items(), key=lambda row: -row[1])
    chosen = (choice.free, choice.synthetic)
    header = ["arm", f"{metric_in_words(primary)} on validation"]
    result(table(header, [[f"{name}{'*' if name in chosen else ''}", f"{value:.3f}"] for name, value in rows]))
    result("* chosen: the best that needs no synthetic images, and the best that does.")
    if choice.sentence:
        result(printable(choice.sentence))
    result("The test part stays closed. To open it: the same command without --validation-only")


def show_comparison(found: Comparison, place: Path) -> None:
    """The verdict first, then every arm."""
    from analysis.comparison.inference.result import table as rows
    from analysis.statistics.metric_labels import metric_in_words

    result(printable(found.verdict))
    if found.facts.exchange:
        result(printable(str(found.facts.exchange["sentence"])))
    result()
    rare = found.primary.partition(":")[2]
    header = ["arm", metric_in_words(found.primary), "difference to *free", "macro F1", f"recall {rare}"]
    result(table(header, rows(found)))
    result()
    result("* chosen on validation. 95% intervals over patients and seeds; the verdict is the one planned difference")
    result("of the two chosen arms; the others' p-values, corrected for their number, are in the report.")
    if found.chosen.folds:
        result("What folds chose is judged out of fold; the other rows are single arms, the same in all folds.")
    result(f"The test part was opened {found.facts.openings} time{'s' if found.facts.openings > 1 else ''}.")
    message(f"All figures: {shown(place)}. Look at them: balance report")
