"""`balance split`: which patients train, validate and test; drawn anew, from a table, or shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from balancer.cli.console import message, printable, result, result_json, table
from balancer.cli.session import Session, exposure_of, opened
from balancer.cli.views.scan import show_small_classes
from balancer.errors import SplitError

if TYPE_CHECKING:
    from balancer.collection.scan import Collection
    from balancer.splits.split import Shares, Split


def split(
    test: float = typer.Option(None, help="Share of the patients for the test part (default 0.2)."),
    val: float = typer.Option(None, help="Share of the patients for the validation part (default 0.15)."),
    folds: int = typer.Option(None, help="Folds for cross-fitting, 0 for none (default: 5 where a class is small)."),
    splits: Path = typer.Option(None, help="CSV or TSV with a column for the file or patient, and one for the part."),
    seed: int = typer.Option(None, help="Same seed, same split (default 0)."),
    force: bool = typer.Option(False, "--force", help="Change it although something was trained on it."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Draw the split anew by patient, or take it from a table; without options show the stored one.

    Each class is stratified by sex and view where a table of patients tells them. Copies of an image stay together.

    Example: balance split --test 0.2 --val 0.15 --folds 5
    """
    from balancer.splits.split import Shares

    asked = {"test": test, "val": val, "folds": folds}
    with opened(write=True) as session:
        before = session.ledger.setting(session.collection, "split") or {}
        shares = Shares(**(before | {name: value for name, value in asked.items() if value is not None}))
        wanted = session.split
        if any(value is not None for value in (*asked.values(), splits, seed)):
            wanted = _wanted(session, shares, asked, splits, seed)
            _store(session, wanted, shares, force=force)
        exposed = _exposed(session, wanted)
    if as_json:
        result_json(_as_json(session.collection, wanted) | {"exposed": [folder.name for folder in exposed]})
    else:
        _show(session.collection, wanted)


def _wanted(session: Session, shares: Shares, asked: dict[str, Any], splits: Path | None, seed: int | None) -> Split:
    """The split that the options ask for."""
    from balancer.splits.groups import Groups
    from balancer.splits.split import Shares, Split, complete_split, draw_split, draw_validation
    from balancer.splits.split_table import read_parts

    collection, stored = session.collection, session.split
    number = stored.seed if seed is None else seed
    drawing = asked["test"] is not None or asked["val"] is not None
    if splits is not None and drawing:
        raise SplitError(
            needed="either shares to draw by, or a table of parts",
            found="--splits with --test or --val",
            next_step="leave --test and --val out: balance split --splits FILE",
        )
    if collection.has_parts and (asked["test"] is not None or splits is not None):
        raise SplitError(
            needed="a collection without parts of its own for --test and --splits",
            found="one with its own train, validation or test folders, which are kept",
            next_step="leave them out, or put all its class folders into one folder, then: balance scan FOLDER",
        )
    if splits is not None:
        return complete_split(Groups.of(collection), read_parts(splits, collection), "file", number, None, shares.folds)
    if collection.has_parts and asked["val"] is not None:
        return draw_validation(collection, shares.val, number, shares.folds)
    if drawing or (seed is not None and not collection.has_parts and stored.origin != "file"):
        return draw_split(collection, number, None, shares)
    count = stored.fold_count if shares.folds is None else shares.folds
    bare = Split(stored.parts, stored.origin, stored.seed)  # the folds are dealt anew
    return draw_split(collection, number, bare, Shares(shares.test, shares.val, count))


def _store(session: Session, wanted: Split, shares: Shares, *, force: bool) -> None:
    """Remember the split, unless a model learned from what it holds out; with `force` such models count as exposed."""
    ledger, collection = session.ledger, session.collection
    changed = wanted.sha256 != session.split.sha256
    exposed = _exposed(session, wanted) if changed else []
    names = ", ".join(printable(folder.name) for folder in exposed)
    if exposed and not force:
        raise SplitError(
            needed="a split that holds out no patient whom a model has seen",
            found=f"{names} learned from patients whom this one would hold out",
            next_step="keep the split, or change it and have these models marked as exposed: balance split ... --force",
        )
    with ledger.atomic():
        if exposed:
            ledger.mark_exposed(collection, exposed)
        ledger.save_split(collection, wanted)
        kept = {"test": shares.test, "val": shares.val, "folds": shares.folds}
        ledger.save_setting(collection, "split", kept)
    if exposed:
        message(f"Exposed from now on: {names}. What they make says so; better train anew: balance adapt")
    elif not changed:
        message("The split is the stored one already: nothing changed.")


def _exposed(session: Session, split: Split) -> list[Path]:
    """The models made here that have seen, or may have seen, what a split holds out."""
    made = session.ledger.adapters(session.collection)
    return sorted(folder for folder in made if folder.is_dir() and exposure_of(session, folder, split))


def _counts(collection: Collection, split: Split, by: str = "label") -> dict[str, dict[str, dict[str, int]]]:
    """Images and groups of each value of a column in each part."""
    from balancer.splits.groups import stay_together
    from balancer.splits.split import PARTS

    groups, values = stay_together(collection), collection.images[by].fillna("unknown")
    found: dict[str, dict[str, dict[str, int]]] = {}
    for value in sorted(values.unique()):
        found[value] = {}
        for part in PARTS:
            there = groups[(values == value) & (split.parts.reindex(groups.index) == part)]
            found[value][part] = {"images": len(there), "patients": int(there.nunique())}
    return found


def _attributes(collection: Collection) -> list[str]:
    return [name for name in ("sex", "view") if collection.images[name].notna().any()]


def _as_json(collection: Collection, split: Split) -> dict[str, Any]:
    return {
        "origin": split.origin,
        "seed": split.seed,
        "sha256": split.sha256,
        "patients_known": bool(collection.images["patient"].notna().all()),
        "folds": {str(fold): int((split.folds == fold).sum()) for fold in range(split.fold_count)},
        "classes": _counts(collection, split),
        "by": {name: _counts(collection, split, name) for name in _attributes(collection)},
    }


def _show(collection: Collection, split: Split) -> None:
    for by in ("label", *_attributes(collection)):
        counts = _counts(collection, split, by)
        parts = [part for part in next(iter(counts.values())) if any(row[part]["images"] for row in counts.values())]
        result(table(["class" if by == "label" else by, *parts], [_row(*item, parts) for item in counts.items()]))
        result()
    unit = "patients" if collection.images["patient"].notna().all() else "patients, or images where they are unknown"
    result(f"Each cell: images / {unit} (share of these).")
    show_small_classes(collection, split)
    origins = {"collection": "the collection's own parts", "file": "your table", "none": "nothing held out"}
    result(f"Split: {origins.get(split.origin, f'drawn with seed {split.seed}')}, sha256 {split.sha256}")


def _row(name: str, counts: dict[str, dict[str, int]], parts: list[str]) -> list[object]:
    total = sum(each["patients"] for each in counts.values()) or 1
    cells = (counts[part] for part in parts)
    return [name, *(f"{cell['images']} / {cell['patients']} ({cell['patients'] / total:.0%})" for cell in cells)]
