"""`balance scan` and `balance prompts`: what there is, and what will be asked for."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer.cli.console import Progress, message, printable, result, result_json, table
from balancer.cli.session import choose_templates, opened, save_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analysis.imbalance import Imbalance
    from balancer.findings import Finding
    from balancer.ledger import Ledger
    from balancer.prompts import Prompt
    from balancer.scan import Collection
    from balancer.split import Split

_SHOWN = 3


def scan(
    data: Path = typer.Argument(help="Folder with a folder for each class, or with train, val and test above them."),
    patient: str = typer.Option(None, help="Regular expression that finds the patient in a file name."),
    deep: bool = typer.Option(False, "--deep", help="Decode every image, to find damaged ones."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    r"""Measure how imbalanced a collection is, and find what is wrong with it.

    Example: balance scan data/ --patient '(p\d+)'
    """
    from analysis.imbalance import measure_imbalance
    from balancer.ledger import Ledger
    from balancer.scan import require_folder
    from balancer.scan import scan as scan_folder
    from balancer.split import draw_split, training_counts
    from balancer.state import find_or_make_state, locked

    state = find_or_make_state(Path.cwd(), require_folder(data))
    with locked(state), Ledger(state) as ledger:
        earlier = ledger.load_collection(data)
        if patient is None and earlier is not None and earlier.patient_pattern:
            patient = earlier.patient_pattern
            message(f"Patients as in the last scan: --patient {shlex.quote(patient)} (--patient '' forgets it)")
        progress = Progress("Reading")
        known = None if earlier is None else earlier.images
        collection = scan_folder(data, patient or None, deep=deep, known=known, progress=progress)
        progress.close()
        split = draw_split(collection, earlier=_earlier_split(ledger, collection, earlier))
        with ledger.atomic():
            ledger.save_collection(collection)
            ledger.save_split(collection, split)
    figures = measure_imbalance(training_counts(collection, split))
    if as_json:
        result_json(_as_json(collection, split, figures))
    else:
        _show(collection, split, figures)


def _earlier_split(ledger: Ledger, collection: Collection, earlier: Collection | None) -> Split | None:
    """The stored split, unless it was drawn by other patients and nothing has learned from it."""
    split = ledger.load_split(collection)
    if split is None or earlier is None or earlier.patient_pattern == collection.patient_pattern:
        return split
    trained = ledger.adapters(collection)
    if trained:
        message(
            f"The split is kept, since {trained[0].name} was trained on it: it may have seen patients of the test part."
        )
        return split
    if not collection.has_parts:
        message("The patients are known in another way now: the split is drawn anew.")
    return None


def prompts(
    label: str = typer.Option(None, help="One class; by default all of the scanned collection."),
    count: int = typer.Option(10, "-n", min=1, help="How many for each class."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    seed: int = typer.Option(0, help="The seed that fill will use."),
    sample: bool = typer.Option(False, "--sample", help="Draw one small image for each prompt."),
    model: str = typer.Option(None, help="With --sample: model to draw with; by default what adapt made."),
) -> None:
    """Show the prompts that fill would use, or draw each once."""
    from balancer.prompts import make_prompt

    if label:
        labels = [label]
    else:
        with opened(write=False) as session:
            labels = session.collection.labels
    templates = choose_templates(pack, labels)
    shown = [(each, make_prompt(templates[each], each, index, seed)) for each in labels for index in range(count)]
    if sample:
        message(f"Drawn: {_draw_samples(shown, model)}")
    for each in labels:
        result(f"{printable(each)} ({templates[each].source})")
        for number, (_, prompt) in enumerate((pair for pair in shown if pair[0] == each), start=1):
            result(f"  {number:2}. {prompt.text}")
    for negative in dict.fromkeys(pack.negative for pack in templates.values()):
        result(f"negative: {negative}")


def _draw_samples(shown: Sequence[tuple[str, Prompt]], model: str | None) -> Path:
    """Draw one quick image for each prompt onto a contact sheet, a row for each class."""
    from analysis.figures import contact_sheet
    from balancer.generators.drawing import draw_prompts

    with opened(write=False) as session:
        made_here = session.ledger.adapters(session.collection)
        progress = Progress("Drawing")
        drawn = draw_prompts([prompt for _, prompt in shown], model, made_here, progress)
        progress.close()
        labels = list(dict.fromkeys(label for label, _ in shown))
        rows = [
            (each, [image for (label, _), image in zip(shown, drawn, strict=True) if label == each]) for each in labels
        ]
        sheet = contact_sheet(rows, columns=max(len(images) for _, images in rows))
        return save_report(session, "prompts.png", sheet)


def _show(collection: Collection, split: Split, figures: Imbalance) -> None:
    images, counts = collection.images, figures.counts
    layout = "its own parts" if collection.has_parts else "no parts of its own: a split by patient was drawn and stored"
    result(f"{printable(collection.root.name)}: {len(images)} images, {len(counts)} classes, {layout}")
    result()
    result(table(*_table(collection, split, figures)))
    result()
    ratio = "infinite" if math.isinf(figures.ratio) else f"{figures.ratio:.1f}"
    result(f"Training images: imbalance ratio {ratio}, evenness {figures.evenness:.2f} (1 is balanced)")
    _show_patients(collection)
    _show_findings(collection.findings)
    result()
    result("Next: balance fill --target max --dry-run")


def _table(collection: Collection, split: Split, figures: Imbalance) -> tuple[list[str], list[list[object]]]:
    parts = [part for part in ("train", "holdout", "val", "test") if (split.parts == part).any()]
    by_part = {part: collection.images.loc[split.paths(part), "label"].value_counts().to_dict() for part in parts}
    header = ["class", *parts, "share", "effective", "deficit"]
    rows: list[list[object]] = [
        [
            label,
            *(by_part[part].get(label, 0) for part in parts),
            f"{figures.shares[label]:.1%}",
            f"{figures.effective_numbers[label]:.0f}",
            figures.deficits[label],
        ]
        for label in figures.counts
    ]
    return header, rows


def _show_patients(collection: Collection) -> None:
    from balancer.scan import patient_groups

    if not collection.patient_pattern:
        result("Patients: unknown, so copies of a patient in two parts are not excluded (--patient REGEX)")
        return
    count = collection.images["patient"].nunique()
    result(f"Patients: {count}. Some of the groups that --patient found:")
    for patient, size, names in patient_groups(collection.images):
        files = ", ".join(printable(name) for name in names)
        more = ", ..." if size > len(names) else ""
        result(f"  {printable(patient)}: {size} image{'s' if size > 1 else ''}: {files}{more}")


def _show_findings(findings: Iterable[Finding]) -> None:
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    result("Findings:" if by_kind else "Findings: none")
    for kind, group in by_kind.items():
        files = sum(len(finding.paths) for finding in group)
        groups = f"{len(group)} times, " if len(group) > 1 else ""
        result(
            f"  {kind}: {groups}{files} file{'s' if files > 1 else ''}. {printable(group[0].message)}; {group[0].fix}"
        )
        for finding in group[:_SHOWN]:
            names = ", ".join(printable(str(path)) for path in finding.paths[:_SHOWN])
            result(f"    {names}{', ...' if len(finding.paths) > _SHOWN else ''}")


def _as_json(collection: Collection, split: Split, figures: Imbalance) -> dict[str, Any]:
    from balancer.scan import patient_groups

    images = collection.images
    parts = {part: images.loc[split.paths(part), "label"].value_counts().to_dict() for part in split.parts.unique()}
    return {
        "collection": collection.root.name,
        "images": len(images),
        "imbalance_ratio": None if math.isinf(figures.ratio) else figures.ratio,
        "evenness": figures.evenness,
        "classes": {
            label: {
                "images": {part: counts.get(label, 0) for part, counts in parts.items()},
                "patients": int(images.loc[images["label"] == label, "patient"].nunique()) or None,
                "share": figures.shares[label],
                "effective_number": figures.effective_numbers[label],
                "deficit": figures.deficits[label],
            }
            for label in figures.counts
        },
        "split": {"origin": split.origin, "seed": split.seed, "sha256": split.sha256},
        "patients": {
            "pattern": collection.patient_pattern,
            "count": int(images["patient"].nunique()),
            "groups": [
                {"patient": patient, "images": size, "files": list(names)}
                for patient, size, names in patient_groups(images)
            ],
        },
        "findings": [
            {"kind": f.kind, "paths": [str(path) for path in f.paths], "message": f.message, "fix": f.fix}
            for f in collection.findings
        ],
    }
