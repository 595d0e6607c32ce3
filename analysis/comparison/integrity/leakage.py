"""Ways in which the test part got into what is learned from: patients, synthetic images, screening, sources, extras."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from analysis.comparison.inputs.build_study import Material
from analysis.comparison.inputs.pools import Pool
from analysis.comparison.inputs.study import EXTRA
from analysis.comparison.integrity.leakage_finding import Breach
from balancer.collection.walk import is_image_name
from balancer.dataset.metadata_files import Row
from balancer.dataset.staging import files_below
from balancer.dataset.xmp import read_provenance
from balancer.errors import ImageError
from balancer.files import sha256_if_there
from balancer.jobs import Verdict
from balancer.store.database import Ledger
from balancer.text import many
from balancer.workspace.last_fill import FillManifest

_REFILL = "adapt and fill again with the current split: balance adapt, balance fill"
_TAKE_OUT = "remove them from the folder, then: balance scan FOLDER, balance fill"


def synthetic_outside_training(material: Material, ledger: Ledger) -> Iterator[Breach]:
    """Synthetic images in the validation or test part, of the balanced folder or of the collection itself.

    By the folder's own tables, by what a file says of itself (XMP), and by the bytes of candidates on record.
    """
    known = _known_hashes(material, ledger)
    yield from _in_the_folder(material, known)
    collection, split = material.collection, material.split
    for part in ("test", "val"):
        paths = split.paths(part).intersection(collection.images.index)
        hashes = collection.images["sha256"].loc[paths]
        made = [
            path for path, sha256 in hashes.items() if sha256 in known or says_synthetic(collection.root / str(path))
        ]
        if made:
            which = "test" if part == "test" else "validation"
            found = f"{many(len(made), 'synthetic image')} in the {which} split of the collection"
            yield Breach("synthetic", found, tuple(map(str, made)), _TAKE_OUT)


def _in_the_folder(material: Material, known: set[str]) -> Iterator[Breach]:
    balanced = material.balanced
    if balanced is None:
        return
    rows = {row.path: row for row in balanced.rows}
    outside = [
        path for path in files_below(balanced.folder) if is_image_name(path) and balanced.part_of(path) != "train"
    ]
    made = [path for path in sorted(outside) if _is_made(balanced.folder / path, rows.get(path), known)]
    if made:
        found = f"{many(len(made), 'synthetic image')} outside the training split of the balanced folder"
        yield Breach("synthetic", found, tuple(made), "remove them, then create the folder again: balance merge")


def _is_made(file: Path, row: Row | None, known: set[str]) -> bool:
    """Whether a file is synthetic: by its row, or, where it is not what was merged, by its bytes or its own word."""
    if row is not None and row.is_synthetic:
        return True
    sha256 = sha256_if_there(file)
    return (row is None or row.sha256 != sha256) and (sha256 in known or says_synthetic(file))


def shared_patients(material: Material) -> Iterator[Breach]:
    """Patients with images in the test part and in another."""
    images, parts = material.collection.images, material.split.parts
    known = images["patient"].dropna()
    known = known.loc[known.index.intersection(parts.index)]
    test = set(known[parts.loc[known.index] == "test"])
    for what, names in (("training", ("train", "holdout")), ("validation", ("val",))):
        shared = sorted(test & set(known[parts.loc[known.index].isin(names)]))
        if shared:
            found = f"{many(len(shared), 'patient')} with images in the {what} split and in the test split"
            yield Breach("patient", found, tuple(shared), _move(material))


def _move(material: Material) -> str:
    if material.collection.has_parts:
        return "move each patient's images into one split (or check --patient), then: balance scan FOLDER"
    return "create the split again by patient, then adapt and fill again: balance split"


def split_changed(material: Material) -> Iterator[Breach]:
    """The balanced folder was made by another split than the present one."""
    balanced = material.balanced
    if balanced is None or balanced.split_sha256 in ("", material.split.sha256):
        return
    hashes = material.collection.images["sha256"]
    paths = material.split.paths("test").intersection(hashes.index)
    test = {sha256: str(path) for path, sha256 in hashes.loc[paths].items()}
    learned = (row.collection_sha256 for row in balanced.originals if balanced.part_of(row.path) != "test")
    moved = [test[sha256] for sha256 in learned if sha256 in test]
    found = "the balanced folder was made with another split than the current one"
    found += f" in which {many(len(moved), 'test image')} belonged to training or validation" if moved else ""
    advice = _REFILL if moved else "create the folder again with the current split: balance merge"
    yield Breach("split", found, tuple(moved), advice)


def screened_by_test(material: Material, ledger: Ledger) -> Iterator[Breach]:
    """Candidates whose nearest real image, by the screen's own record, is a test image: the screen searched there."""
    test, balanced = set(material.split.paths("test")), material.balanced
    if balanced is None:
        return
    looked = {PurePosixPath(path).stem: scores for path, scores in balanced.scores().items()}
    looked |= {f"syn-{key}": verdict.scores for key, verdict in _judged_last(material, ledger).items()}
    found = {name: str(near) for name, scores in looked.items() if (near := scores.get("copy_nearest")) in test}
    if found:
        what = f"{many(len(found), 'candidate')} screened against test images: the screening used the test split"
        yield Breach("screening", what, tuple(f"{name}: {near}" for name, near in found.items()), _REFILL)


def made_from_test(material: Material) -> Iterator[Breach]:
    """Synthetic images that were made from a test image or patient, or took their intensities from one."""
    images, split = material.collection.images, material.split
    test = split.paths("test").intersection(images.index)
    held = {
        "path": set(test),
        "sha256": set(images["sha256"].loc[test].dropna()),
        "patient": set(images["patient"].loc[test].dropna()),
    }
    rows = {} if material.balanced is None else material.balanced.provenance
    found = {}
    for path, row in rows.items():
        for role in ("source", "reference"):
            if any(row.get(f"{role}_{what}") in values for what, values in held.items() if row.get(f"{role}_{what}")):
                found[path] = f"{path}: {row.get(f'{role}_path') or role}"
    if found:
        what = f"{many(len(found), 'synthetic image')} made from test images, or from other images of the same patients"
        yield Breach("source", what, tuple(found.values()), _REFILL)


def among_the_extras(material: Material) -> Iterator[Breach]:
    """Images of the collection itself, or of test patients, in a folder of the user's own."""
    images, parts = material.collection.images, material.split.parts
    own = {sha256: str(path) for path, sha256 in images["sha256"].dropna().items() if parts.get(path) != "test"}
    people = set(images["patient"].loc[material.split.paths("test").intersection(images.index)].dropna())
    for name, pool in _extras(material):
        same = [
            f"{mine} = {own[sha256]}" for mine, sha256 in zip(pool.names, pool.hashes, strict=True) if sha256 in own
        ]
        if same:
            found = f"{many(len(same), 'image')} of {name} are training or validation images of the collection"
            yield Breach("extra", found, tuple(same), "remove them from that folder")
        if shared := sorted(set(_patients(material, pool.names)) & people):
            found = f"{many(len(shared), 'test patient')} with images in {name}"
            yield Breach("patient", found, tuple(shared), "remove their images from that folder")


def extras_of_unknown_patients(material: Material) -> Iterator[str]:
    """Stamps for folders of the user's own in which test patients would not be recognised."""
    for name, pool in _extras(material):
        unknown = len(pool) - sum(1 for _ in _patients(material, pool.names))
        if unknown:
            yield f"patient leakage not excluded: the patients of {many(unknown, 'image')} of {name} are unknown"


def _extras(material: Material) -> Iterator[tuple[str, Pool]]:
    return ((name, pool) for name, pool in material.pools.items() if name.startswith(EXTRA))


def _patients(material: Material, names: tuple[str, ...]) -> Iterator[str]:
    """Whom the collection's own expression finds in the names of other files."""
    pattern = material.collection.patient_pattern
    if pattern is None:
        return
    expression = re.compile(pattern)
    for name in names:
        match = expression.search(name.partition("/")[2])
        if match is not None:
            yield match.group(1 if expression.groups else 0)


def _known_hashes(material: Material, ledger: Ledger) -> set[str]:
    """The bytes of everything that was ever made or handed over here, as made and as given."""
    collection = material.collection
    judged = [each for label in collection.labels for each in ledger.candidates(collection, label).values()]
    found = {candidate.sha256 for candidate, _ in judged}
    found |= {candidate.origin.sha256 for candidate, _ in judged if candidate.origin is not None}
    rows = () if material.balanced is None else material.balanced.rows
    return found | {row.sha256 for row in rows if row.is_synthetic}


def _judged_last(material: Material, ledger: Ledger) -> Mapping[str, Verdict]:
    """The verdicts on all that the last fill looked at, whatever came of it, by candidate."""
    last = FillManifest.load(ledger, material.collection)
    found: dict[str, Verdict] = {}
    for label, ids in ({} if last is None else last.jobs).items():
        known = ledger.candidates(material.collection, label)
        found.update({each: known[each][1] for each in ids if each in known})
    return found


def says_synthetic(file: Path) -> bool:
    """Whether an image file calls itself synthetic; one that cannot be read says nothing."""
    try:
        return read_provenance(file) is not None
    except ImageError:
        return False
