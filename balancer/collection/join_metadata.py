"""The rows of a table of patients to the images they are of: by path, file name, stem or patient.

Images and rows are handled by their numbers, so that a million of them take seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.attributes import sites_of
from balancer.collection.findings import Finding
from balancer.collection.metadata_table import SITE, VALUES, PatientTable, TableRef
from balancer.errors import TableError
from balancer.text import shape_of

_EXAMPLES = 3
_EXTENSION = re.compile(r"\.(?:png|jpe?g|tiff?|bmp|webp|dcm|dicom|nii|gz)$", re.IGNORECASE)
Places = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Told = Mapping[str, npt.NDArray[Any]]
"""Column by column what is told, None where nothing is."""


def fill_in(images: pd.DataFrame, table: PatientTable) -> tuple[pd.DataFrame, list[Finding]]:
    """The images with what the table tells of each, and what is wrong with the table.

    A row finds its image by the relative path, else by the file's name or stem if only one image has it. What no
    row of the file tells is taken from the rows of its patient, if they agree. A patient known before is kept.

    Raises:
        TableError: not one row fits an image.
    """
    rows, who = table.rows, images["patient"]
    result = images.assign(**{SITE: sites_of(images)}) if SITE in rows else images
    found, contradicted, ambiguous = (np.zeros(len(images), bool) for _ in range(3))
    if "file" in rows:
        places, ambiguous = _targets(rows["file"].to_numpy(object), images.index)
        told, differ = agreed(rows.drop(columns="file"), places, len(images))
        contradicted = _any(differ, len(images))
        found[places[places >= 0]] = True
        if "patient" in told:
            named = pd.Series(told["patient"], images.index, dtype=object)
            told = told if who.isna().all() else {name: told[name] for name in told if name != "patient"}
            who = named.where(named.notna(), who)
        result = _filled(result, told)
    if "patient" in rows:
        told, differ, of = _of_patients(rows, who)
        result = _filled(result, told, skip=contradicted)
        found |= of
        wrong = differ.get("sex", np.zeros(len(images), bool))
        contradicted = contradicted | (wrong if "file" in rows else _any(differ, len(images)))
        result.loc[wrong, "sex"] = None
    _require_some(images, table, bool(found.any()))
    result = _site_told(result)
    about = (*_ambiguous(images.index[ambiguous]), *_contradictory(images.index[contradicted]))
    return result, [*table.findings, *about, *_without_row(images.index[~found & ~ambiguous], table)]


def take_over(images: pd.DataFrame, known: pd.DataFrame, ref: TableRef) -> pd.DataFrame:
    """The images with what an earlier scan knew of them, for a table that is gone."""
    names = [*VALUES, *(["patient"] if "patient" in ref.columns else [])]
    told = known[names].reindex(images.index)
    result = _filled(images, {name: told[name].to_numpy() for name in names})
    if SITE in ref.columns:
        result = _site_told(result.assign(**{SITE: sites_of(known).reindex(images.index)}))
    return result


def _targets(entries: npt.NDArray[Any], paths: pd.Index) -> tuple[Places, Mask]:
    """The image of each row, -1 where there is none, and images that a name or stem does not tell apart."""
    places = _by_path(entries, paths)
    taken, ambiguous = np.zeros(len(paths), bool), np.zeros(len(paths), bool)
    taken[places[places >= 0]] = True
    named = entries != ""
    for short in (_name, _stem):
        left = np.flatnonzero((places < 0) & named)
        if not len(left):
            break
        known, asked = (pd.Index([short(text) for text in texts], dtype=object) for texts in (paths, entries[left]))
        several = known.duplicated(keep=False)
        at = known[~several].get_indexer(asked)
        found = np.append(np.flatnonzero(~several), -1)[at]
        wide = _differ(entries[left], found)
        ambiguous |= several & known.isin(asked)
        ambiguous[wide] = True
        free = (found >= 0) & ~taken[found] & ~np.isin(found, wide)
        places[left[free]] = found[free]
        taken[found[free]] = True
    return places, ambiguous & ~taken


def _by_path(entries: npt.NDArray[Any], paths: pd.Index) -> Places:
    """The image of each row by its path, which may begin higher up than the collection; -1 where there is none."""
    places = np.full(len(entries), -1)
    rest, texts = np.flatnonzero(entries != ""), entries[entries != ""]
    while len(rest):
        places[rest] = paths.get_indexer(pd.Index(texts, dtype=object))
        open_still = np.array([at < 0 and "/" in text for at, text in zip(places[rest], texts, strict=True)], bool)
        rest, texts = rest[open_still], texts[open_still]
        texts = np.array([text.split("/", 1)[1] for text in texts], dtype=object)
    return places


def _differ(entries: npt.NDArray[Any], found: Places) -> Places:
    """Images for which rows of several files ask."""
    asked = pd.DataFrame({"image": found, "entry": pd.factorize(entries)[0]})[found >= 0].drop_duplicates()
    return asked["image"][asked["image"].duplicated()].unique()


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _stem(path: str) -> str:
    return _EXTENSION.sub("", _name(path))


def agreed(rows: pd.DataFrame, keys: Places, count: int) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Mask]]:
    """What the rows of each key, 0 to `count` - 1, tell: nothing where they contradict each other, and which do.

    Rows with a key below 0 are left out.
    """
    there = keys >= 0
    told: dict[str, npt.NDArray[Any]] = {}
    differ: dict[str, Mask] = {}
    for name in map(str, rows):
        codes, values = pd.factorize(rows[name].to_numpy()[there])
        own = keys[there][codes >= 0]
        codes = codes[codes >= 0]
        least, most = np.full(count, len(values)), np.full(count, -1)
        np.minimum.at(least, own, codes)
        np.maximum.at(most, own, codes)
        told[name] = np.append(values.astype(object), [None])[np.where(least == most, most, -1)]
        differ[name] = least < most
    return told, differ


def _of_patients(rows: pd.DataFrame, who: pd.Series) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Mask], Mask]:
    """What holds for all images of each image's patient, which rows contradict each other, and who has rows at all.

    Where each image has a row of its own, age and view may differ between those of one patient.
    """
    steady = [name for name in (*VALUES, SITE) if name in rows and (name != "view" or "file" not in rows)]
    keys, patients = pd.factorize(rows["patient"].to_numpy(object))
    told, differ = agreed(rows[steady], keys, len(patients))
    at = pd.Index(patients, dtype=object).get_indexer(pd.Index(who, dtype=object))
    return (
        {name: np.append(values, [None])[at] for name, values in told.items()},
        {name: np.append(wrong, False)[at] for name, wrong in differ.items()},
        at >= 0,
    )


def _any(masks: Mapping[str, Mask], count: int) -> Mask:
    return np.asarray(np.logical_or.reduce([np.zeros(count, bool), *masks.values()]))


def _filled(images: pd.DataFrame, told: Told, skip: Mask | None = None) -> pd.DataFrame:
    """What is missing, from the same rows and columns of `told`, but for rows to `skip`."""
    images = images.copy()
    for name, values in told.items():
        known = images[name].notna().to_numpy()
        kept = known if skip is None else known | skip
        one_form = values.astype(float) if name == "age" else np.where(pd.isna(values), np.array(None), values)
        images[name] = pd.Series(np.where(kept, images[name].to_numpy(), one_form), images.index)
    return images


def _site_told(images: pd.DataFrame) -> pd.DataFrame:
    """The images with their column of sites, if there is one, among what is told in the source's own words."""
    if SITE not in images:
        return images
    pairs = zip(images["told"], images[SITE], strict=True)
    told = [
        before
        if pd.isna(site)
        else json.dumps({**(json.loads(before) if isinstance(before, str) else {}), SITE: site}, ensure_ascii=False)
        for before, site in pairs
    ]
    return images.drop(columns=SITE).assign(told=pd.Series(told, images.index, dtype=object))


def _require_some(images: pd.DataFrame, table: PatientTable, some: bool) -> None:
    if some:
        return
    name, rows = table.ref.path.name, table.rows
    role = "file" if "file" in rows else "patient"
    patients = images["patient"].dropna().head(1)
    here = images.index[0] if role == "file" else ", ".join(_shown(role, patients))
    advice = f"name the right column: --columns '{role}=COLUMN'"
    if role == "patient":
        advice += r", and name the patient in the file names: --patient '(p\d+)'"
    raise TableError(
        needed=f"rows of {name} that match the images by {role}",
        found=f"none: {table.ref.columns[role]} is {', '.join(_shown(role, rows[role].head(_EXAMPLES)))}, "
        f"and the collection has {here or 'no known patient'}",
        next_step=advice,
    )


def _shown(role: str, values: pd.Series) -> list[str]:
    """Examples of a column: file names, or how patients' numbers are written."""
    return [repr(value) if role == "file" else f"written as {shape_of(str(value))!r}" for value in values]


def _ambiguous(paths: pd.Index) -> Iterator[Finding]:
    if len(paths):
        message = f"the table's file names do not distinguish {len(paths)} images; its data about them are not used"
        fix = "write paths into the table's file column, such as CLASS/image.png"
        yield Finding("table-ambiguous", tuple(map(PurePosixPath, sorted(paths))), message, fix)


def _contradictory(paths: pd.Index) -> Iterator[Finding]:
    if len(paths):
        message = (
            f"rows of the table contradict each other for {len(paths)} images; values that differ count as unknown"
        )
        fix = "correct the table, then scan again"
        yield Finding("table-contradiction", tuple(map(PurePosixPath, paths)), message, fix)


def _without_row(paths: pd.Index, table: PatientTable) -> Iterator[Finding]:
    if len(paths):
        message = f"{table.ref.path.name} has no row for {len(paths)} images"
        fix = "add them to the table; until then their data are unknown"
        yield Finding("table-no-row", tuple(map(PurePosixPath, paths)), message, fix)
