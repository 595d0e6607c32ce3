"""A user's own split: a table of files or patients and the part of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from balancer.collection.pseudonyms import Pseudonyms
from balancer.collection.scan import Collection
from balancer.collection.walk import canonical_part
from balancer.errors import SplitError, TableError
from balancer.imaging.tables import read_table
from balancer.splits.groups import stay_together

FILE_NAMES = ("file", "file_name", "filename", "path", "file_path", "image", "image_path", "image_index", "image_name")
PATIENT_NAMES = ("patient", "patient_id", "patientid", "subject", "subject_id", "pid")
PART_NAMES = ("part", "split", "fold", "set", "subset", "partition")


def read_parts(table: Path, collection: Collection, pseudonyms: Pseudonyms | None = None) -> pd.Series:
    """The part of each image of a collection, in its order, as a table says by file or by patient.

    A file is named by its path below the collection, or by its name alone where only one is called so. A patient is
    named as the collection's headers or tables do, or by the pseudonym that stands for it.

    Raises:
        SplitError: no table, a column missing, an unknown part, file or patient, an image without a part, a patient in
            two parts, or a class missing from a part; of findings, one that is missing from training.
    """
    rows = _read(table)
    part_column = _column(rows, PART_NAMES)
    key = _column(rows, FILE_NAMES) or _column(rows, PATIENT_NAMES)
    if part_column is None or key is None:
        raise _wrong(
            "a header with a column for the file or the patient, and one for the split",
            f"columns {', '.join(map(str, rows.columns))}",
            f"use these names, for example: {FILE_NAMES[0]} (or {PATIENT_NAMES[0]}) and {PART_NAMES[0]}",
        )
    named = _by_key(rows[key], _canonical(rows[part_column]))
    by_file = _column(rows, FILE_NAMES) is not None
    parts = _of_files(named, collection) if by_file else _of_patients(named, collection, pseudonyms)
    _check(parts, collection)
    return parts


def _read(table: Path) -> pd.DataFrame:
    try:
        found = read_table(table)
    except TableError as error:
        advice = "use a table with a header: balance split --splits FILE"
        raise _wrong("a table that can be read", error.found, advice) from error
    return pd.DataFrame({name: found.cells[place].str.strip() for place, name in enumerate(found.header)}, dtype=object)


def _column(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    plain = {str(column).strip().casefold().replace(" ", "_"): str(column) for column in rows.columns}
    return next((plain[name] for name in names if name in plain), None)


def _canonical(values: pd.Series) -> pd.Series:
    parts = values.map(canonical_part)
    if parts.isna().any():
        found = sorted(set(values[parts.isna()]))
        raise _wrong("train, val or test (or a usual synonym) in each row", _some(found), "write the split in each row")
    return parts


def _by_key(keys: pd.Series, parts: pd.Series) -> dict[str, str]:
    twice = pd.DataFrame({"key": keys, "part": parts}).groupby("key")["part"].nunique()
    if (twice > 1).any():
        raise _wrong(
            "one split for each name", f"two splits for {_some(twice.index[twice > 1])}", "keep the correct row"
        )
    return dict(zip(keys, parts, strict=True))


def _of_files(named: dict[str, str], collection: Collection) -> pd.Series:
    paths = collection.images.index
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(PurePosixPath(path).name, []).append(path)
    known, parts, unknown = set(paths), pd.Series(pd.NA, index=paths, dtype=object), []
    for name, part in named.items():
        below = name.replace("\\", "/").removeprefix("./").removeprefix(f"{collection.root.name}/")
        found = [below] if below in known else by_name.get(name, [])
        if len(found) == 1:
            parts[found[0]] = part
        else:
            unknown.append(name)
    if unknown:
        advice = "write each path relative to the scanned folder: CLASS/NAME.png"
        raise _wrong(
            "files of the collection, each with one path",
            f"{len(unknown)} unknown or ambiguous names: {_some(unknown)}",
            advice,
        )
    return parts


def _of_patients(named: dict[str, str], collection: Collection, pseudonyms: Pseudonyms | None) -> pd.Series:
    patients = collection.images["patient"]
    known = set(patients.dropna())
    if pseudonyms is not None:
        named = {name if name in known else pseudonyms.of(name): part for name, part in named.items()}
    unknown = set(named) - known
    if unknown:
        advice = "write the patients as balance scan --patient REGEX finds them, or use a column with files"
        raise _wrong("patients of the collection", f"{len(unknown)} unknown names", advice)
    return patients.map(named)


def _check(parts: pd.Series, collection: Collection) -> None:
    missing = parts.index[parts.isna()]
    if len(missing):
        found = f"{len(missing)} images without a split: {_some(missing)}"
        raise _wrong("a split for each image of the collection", found, "add rows for them")
    _check_groups(parts, collection)
    if collection.label_sets is not None:
        trained = collection.label_sets.only(parts.index[parts == "train"]).counts()
        if lacking := [finding for finding in collection.labels if not trained[finding]]:
            found = f"no training image of {_some(lacking)}"
            raise _wrong("images of each finding in the training split", found, "move patients with it into training")
        return
    labels = collection.images["label"]
    for part in ("train", *sorted(set(parts) - {"train"})):
        lacking = sorted(set(labels) - set(labels[parts == part]))
        if lacking:
            found = f"no image of {_some(lacking)} in {part}"
            raise _wrong("images of each class in each split", found, "move patients of this class into the split")


def _check_groups(parts: pd.Series, collection: Collection) -> None:
    groups = stay_together(collection)
    split_up = parts.groupby(groups).nunique()
    torn = groups.isin(split_up.index[split_up > 1])
    if not torn.any():
        return
    patients = collection.images["patient"][torn]
    of_patient = parts[torn].groupby(patients).nunique()
    if (of_patient > 1).any():
        names = of_patient.index[of_patient > 1]
        raise _wrong(
            "each patient in only one split",
            f"{len(names)} in two or more splits: {_some(names)}",
            "move each patient into one split",
        )
    found = f"{int(torn.sum())} files with the same image or patient in different splits: "
    raise _wrong("copies of an image in the same split", found + _some(parts.index[torn]), "move them into one split")


def _some(names: Sequence[str] | pd.Index) -> str:
    return ", ".join(repr(str(name)) for name in names[:5]) + (", ..." if len(names) > 5 else "")


def _wrong(needed: str, found: str, advice: str) -> SplitError:
    return SplitError(
        needed=f"{needed}, in the table of --splits",
        found=found,
        next_step=advice if "--" in advice else f"{advice}, then: balance split --splits FILE",
    )
