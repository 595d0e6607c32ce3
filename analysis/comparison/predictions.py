"""What every arm said of every test image, kept as a table, so that a new figure needs no training.

`predictions.parquet` has a row for each image, arm and seed: `image`, `label`, `patient` (a pseudonym), `arm`, `seed`,
`fold` (0 where there is one split), a probability for each class or finding, in columns named `p: CLASS`, and what is
known of the image: `sex`, `age_group`, `view`, `site`. Tables of earlier versions lack these. Where images have several
findings, `label` is the label set, and columns named `is: FINDING` have 1, 0 or null. Of external images
`predictions-external.parquet` has the same, `fold` being that of the model.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.comparison.inference.selection import pooled
from analysis.comparison.inputs.study import ATTRIBUTES, Outcomes
from analysis.data.targets import Targets
from balancer.collection.label_sets import DENIED, GIVEN, set_name
from balancer.collection.pseudonyms import Pseudonyms
from balancer.errors import ComparisonError
from balancer.files import write_whole

NAME, EXTERNAL = "predictions.parquet", "predictions-external.parquet"
_UNKNOWN = -1
_COLUMNS = ("image", "label", "patient", "arm", "seed", "fold")
_PROBABILITY, _MARK, _RARE, _FORM = "p: ", "is: ", "rare", "form"
_NUMBER, _NUMBER_OF_FINDINGS = "1", "2"
"""Of what the table holds: raised when it changes, so that a table of another version is not read as one of this."""
_READ = ("", _NUMBER, _NUMBER_OF_FINDINGS)  # the first tables have no number, and no attributes


def write_predictions(
    place: Path,
    tested: Sequence[Outcomes],
    seeds: Sequence[int],
    patients: Mapping[str, str],
    pseudonyms: Pseudonyms,
) -> None:
    """Write what the arms said, whole or not at all: of one split, or of each fold.

    `seeds` are those of the first axis of the probabilities; `patients` are known by the path of an image, and
    `pseudonyms` stand for them, the same as in provenance and metadata.
    """
    tables = [_table(each, seeds, fold, patients, pseudonyms) for fold, each in enumerate(tested)]
    held, form = io.BytesIO(), _NUMBER_OF_FINDINGS if tested[0].has_several else _NUMBER
    table = pa.Table.from_pandas(pd.concat(tables, ignore_index=True), preserve_index=False)
    pq.write_table(table.replace_schema_metadata({_RARE: tested[0].rare, _FORM: form}), held)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_whole(place, held.getvalue())


def read_predictions(place: Path) -> Outcomes:
    """What the arms said of all test images, as it was written; patients are numbered in the order of their images.

    Raises:
        ComparisonError: there is no such table, it is damaged, or another version wrote it.
    """
    try:
        found = _of_this_version(pq.read_table(place))
        table, rare = found.to_pandas(), found.schema.metadata[_RARE.encode()].decode()
        table["patient"] = pd.factorize(table["patient"])[0]  # over all folds: a patient is in one of them
        classes = tuple(name.removeprefix(_PROBABILITY) for name in table.columns if name.startswith(_PROBABILITY))
        folds = [_outcomes(part, classes, rare) for _, part in table.groupby("fold", sort=True)]
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise ComparisonError(
            needed=f"{NAME} of the last comparison",
            found="none" if not place.exists() else f"unreadable ({error})",
            next_step="run balance compare again to store it: completed training is not repeated",
        ) from error
    return folds[0] if len(folds) == 1 else pooled(folds)


def _of_this_version(found: pa.Table) -> pa.Table:
    form = (found.schema.metadata or {}).get(_FORM.encode(), b"").decode()
    if form in _READ:
        return found
    raise ComparisonError(
        needed=f"{NAME} written by this version of balance",
        found="a table of another version; the verdict of that comparison still stands, in balance report",
        next_step="run balance compare again to store it: completed training is not repeated",
    )


def _table(
    outcomes: Outcomes, seeds: Sequence[int], fold: int, patients: Mapping[str, str], pseudonyms: Pseudonyms
) -> pd.DataFrame:
    """Rows arm by arm, seed by seed, image by image."""
    arms, images = list(outcomes.probabilities), len(outcomes.paths)
    labels, marks = _labels(outcomes)
    names = _patients(outcomes, patients, pseudonyms)
    probabilities = np.concatenate([outcomes.probabilities[arm].reshape(-1, len(outcomes.classes)) for arm in arms])
    times = len(arms) * len(seeds)
    found = {
        "image": np.tile(np.array(outcomes.paths, object), times),
        "label": np.tile(np.array(labels, object), times),
        "patient": np.tile(np.array(names, object), times),
        "arm": np.repeat(np.array(arms, object), len(seeds) * images),
        "seed": np.tile(np.repeat(np.array(seeds, np.int64), images), len(arms)),
        "fold": np.full(times * images, fold, np.int64),
    }
    known = outcomes.attributes.reindex(columns=list(ATTRIBUTES))
    found |= {name: np.tile(known[name].astype(object).where(known[name].notna(), None), times) for name in ATTRIBUTES}
    columns = {f"{_PROBABILITY}{label}": probabilities[:, place] for place, label in enumerate(outcomes.classes)}
    columns |= {name: np.tile(values, times) for name, values in marks.items()}
    return pd.DataFrame({**found, **columns})


def _labels(outcomes: Outcomes) -> tuple[list[str], dict[str, npt.NDArray[np.float32]]]:
    """The class or label set of each image, and the marks of each finding, missing where unknown."""
    if not outcomes.has_several:
        return [outcomes.classes[number] for number in outcomes.targets], {}
    sets = [set_name(outcomes.classes[place] for place in np.flatnonzero(row)) for row in outcomes.targets == GIVEN]
    marks = np.where(outcomes.targets < DENIED, np.nan, outcomes.targets).astype(np.float32)
    return sets, {f"{_MARK}{name}": marks[:, place] for place, name in enumerate(outcomes.classes)}


def _targets(table: pd.DataFrame, classes: tuple[str, ...]) -> Targets:
    """Numbers of classes, or the marks of the findings."""
    if f"{_MARK}{classes[0]}" not in table:
        return np.array([classes.index(label) for label in table["label"]], np.int64)
    marks = table[[f"{_MARK}{name}" for name in classes]].to_numpy(np.float32)
    return np.where(np.isnan(marks), _UNKNOWN, marks).astype(np.int8)


def _patients(outcomes: Outcomes, patients: Mapping[str, str], pseudonyms: Pseudonyms) -> list[str]:
    """One pseudonym for all images that count as one patient's: an unknown patient is known by an image."""
    first: dict[int, str] = {}
    for path, group in zip(outcomes.paths, outcomes.groups.tolist(), strict=True):
        first.setdefault(group, pseudonyms.of(patients.get(path, f"image {path}")))
    return [first[group] for group in outcomes.groups.tolist()]


def _outcomes(table: pd.DataFrame, classes: tuple[str, ...], rare: str) -> Outcomes:
    """The table of one fold; its rows stand as they were written."""
    if missing := {*_COLUMNS} - {*table.columns}:
        raise KeyError(f"no column {min(missing)}")
    arms, seeds = list(dict.fromkeys(table["arm"])), table["seed"].nunique()
    images = len(table) // (len(arms) * seeds)
    first = table.iloc[:images]
    probabilities = table[[f"{_PROBABILITY}{label}" for label in classes]].to_numpy(np.float32)
    by_arm = probabilities.reshape(len(arms), seeds, images, len(classes))
    return Outcomes(
        classes,
        rare,
        _targets(first, classes),
        first["patient"].to_numpy(np.int64),
        first.reindex(columns=list(ATTRIBUTES)).reset_index(drop=True).astype(object),
        dict(zip(arms, by_arm, strict=True)),
        None,
        tuple(first["image"]),
    )
