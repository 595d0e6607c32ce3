"""Images that another generator made: the folder that they are handed over in, and what is refused unscreened."""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balancer.collection.findings import Finding
from balancer.collection.label_sets import MARK, findings_in, set_name
from balancer.collection.scan import Collection, Progress
from balancer.collection.sources.folders import labelled_files
from balancer.dataset.metadata_files import read_manifest
from balancer.dataset.xmp import SYNTHETIC, read_provenance
from balancer.errors import BalanceError, CollectionError, ImageError
from balancer.imaging.decode import read_grey
from balancer.imaging.pixel_hash import pixel_digest
from balancer.jobs import Candidate, external_id
from balancer.parallel import in_threads

_NAMED = 5
_PLUS = "+"
"""Stands between findings in a folder's name, since | cannot everywhere."""


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """A file of a folder of candidates; `path` is relative to that folder."""

    path: str
    label: str
    file: Path


@dataclass(frozen=True, slots=True)
class DecodedFile:
    """A decoded external image: hash of its bytes and of its grey values, its size (width, height) in pixels.

    What it says of itself: `composite`, that it was made from a real image; `job_id`, that balance made it. `fault`
    is why it could not be read.
    """

    given: ExternalFile
    sha256: str = ""
    pixels: str = ""
    size: tuple[int, int] = (0, 0)
    composite: bool = False
    job_id: str = ""
    fault: str = ""

    @property
    def id(self) -> str:
        """The id of the candidate that it becomes."""
        return external_id(self.given.label, self.sha256)


def list_external(
    folder: Path, collection: Collection, apart_from: Mapping[str, Path]
) -> tuple[list[ExternalFile], list[Finding]]:
    """The image files in the class folders of `folder`, in order of their paths; and what else lies there.

    `apart_from` are other places, by what they are, that it must neither lie in nor around.

    Raises:
        CollectionError: there is no such folder; it is not apart from the collection, one of those places or a
            balanced folder; it has no class folder; or one is no class of the collection.
    """
    _require_apart(folder, {"the collection": collection.root, **apart_from})
    findings: list[Finding] = []
    paths, labels = labelled_files(folder, findings)
    _require_known_classes(folder, sorted(set(labels)), collection)
    _require_class_folders_apart(folder, set(labels), collection.root)
    named = set_of if collection.is_multi_label else str
    found = [ExternalFile(path, named(label), folder / path) for path, label in zip(paths, labels, strict=True)]
    if not found:
        empty = any(finding.kind == "empty-class" for finding in findings)
        what = "class folders without an image (PNG, JPEG, TIFF, BMP or WebP)" if empty else "no class folder"
        raise _refused(f"{folder}: {what}", "put the images into a folder for each class")
    return sorted(found, key=lambda given: given.path), findings


def set_of(folder: str) -> str:
    """The label set that a folder is named after: its findings in any order, with | or + between.

    >>> set_of("Hernia+Effusion")
    'Effusion|Hernia'
    """
    return set_name(part.strip() for part in folder.replace(_PLUS, MARK).split(MARK))


def decode_all(given: Sequence[ExternalFile], progress: Progress = lambda done, total: None) -> list[DecodedFile]:
    """Decode every file once; one that cannot be read says why."""
    return list(in_threads(_look, given, progress))


def precheck(
    seen: Sequence[DecodedFile], real: Mapping[str, str], part_of: Callable[[str], str], others: Sequence[Candidate]
) -> dict[str, str]:
    """Why files are refused before anything is judged, by path.

    `real` are images of the collection by their grey values, `others` candidates that are known already: all that
    were generated here, and accepted ones from other folders.
    """
    earlier = {each.origin.pixels: each for each in others if each.origin is not None}
    made_here = {each.id for each in others if each.job is not None}
    same: dict[str, list[DecodedFile]] = defaultdict(list)
    found: dict[str, str] = {}
    for each in seen:
        if each.fault:
            found[each.given.path] = f"unreadable: {each.fault}"
        elif each.pixels in real:
            found[each.given.path] = _reason_for_real(real[each.pixels], part_of(real[each.pixels]))
        elif each.job_id in made_here:
            found[each.given.path] = f"repeated: the image {each.job_id}, which balance generated"
        else:
            same[each.pixels].append(each)
    for group in same.values():
        found |= _repeated(group)
        first, other = group[0], earlier.get(group[0].pixels)
        if first.given.path not in found and other is not None and other.id != first.id:
            found[first.given.path] = f"repeated: the same pixels as {_told(other)}, which was accepted before"
    return found


def real_images_among(seen: Iterable[DecodedFile], real: Mapping[str, str]) -> dict[str, str]:
    """Files that are images of the collection: its path by theirs."""
    return {each.given.path: real[each.pixels] for each in seen if not each.fault and each.pixels in real}


def refuse_real(found: Mapping[str, str], part_of: Callable[[str], str]) -> None:
    """Stop where nothing would be screened and real images are among the candidates.

    Raises:
        CollectionError: there is one.
    """
    if not found:
        return
    some = ", ".join(f"{path} is {real} ({part_of(real)} split)" for path, real in list(found.items())[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise CollectionError(
        needed="only synthetic images: a real image would add a patient to the training split",
        found=f"real images of the collection, pixel for pixel: {some}{more}",
        next_step="remove them from the folder, or leave --no-screen out: then they are rejected",
    )


def _look(given: ExternalFile) -> DecodedFile:
    try:
        content = given.file.read_bytes()
        grey = read_grey(given.file)
        said = read_provenance(given.file) or {}
    except ImageError as error:
        return DecodedFile(given, fault=error.found)
    except OSError as error:
        return DecodedFile(given, fault=error.strerror or str(error))
    composite = said.get("digital_source_type") == SYNTHETIC[True]
    size, job_id = grey.shape[::-1], said.get("job_id", "")
    return DecodedFile(given, hashlib.sha256(content).hexdigest(), pixel_digest(grey), size, composite, job_id)


def _reason_for_real(path: str, part: str) -> str:
    return f"a real image: the same pixels as {path} of the collection ({part} split)"


def _repeated(group: Sequence[DecodedFile]) -> dict[str, str]:
    """Of the same image several times the first one stays; under two classes none, since one of them is wrong."""
    first, *others = group
    labels = {each.given.label for each in group}
    if len(labels) == 1:
        return {each.given.path: f"repeated: the same pixels as {first.given.path}" for each in others}
    return {
        each.given.path: "two classes: the same pixels as "
        + next(other.given.path for other in group if other.given.label != each.given.label)
        for each in group
    }


def _told(candidate: Candidate) -> str:
    return candidate.path.name if candidate.origin is None else candidate.origin.file


def _require_apart(folder: Path, others: Mapping[str, Path]) -> None:
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        raise _refused(f"{folder}: {what}", "give the folder above the class folders")
    here = folder.resolve()
    for what, place in others.items():
        other = place.resolve()
        if here == other or here in other.parents or other in here.parents:
            where = "is" if here == other else "lies in" if other in here.parents else "lies around"
            raise _refused(f"{folder} {where} {what} {place}", "put the images into a separate folder")
    ours = next((above for above in (here, *here.parents) if read_manifest(above) is not None), None)
    if ours is not None:
        advice = "give the folder that the generator wrote; images that were merged need not be merged again"
        raise _refused(f"{folder} is or lies in {ours}, a balanced folder that contains real images", advice)


def _require_class_folders_apart(folder: Path, labels: Iterable[str], collection: Path) -> None:
    linked = [label for label in sorted(labels) if (folder / label).resolve().is_relative_to(collection.resolve())]
    if linked:
        raise _refused(f"{folder / linked[0]}, a link into the collection", "put the images there instead of the link")


def _require_known_classes(folder: Path, found: Sequence[str], collection: Collection) -> None:
    labels, several = collection.labels, collection.is_multi_label
    known = {*labels}
    unknown = [label for label in found if not known.issuperset(findings_in(set_of(label)) if several else (label,))]
    if not unknown:
        return
    told = ", ".join(_with_near(label, labels) for label in unknown[:_NAMED])
    raise CollectionError(
        needed=f"folders named as findings, several with + between, such as A+B: {', '.join(labels)}"
        if several
        else f"class folders named exactly as the collection's classes: {', '.join(labels)}",
        found=f"{folder}: {told}" + (f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""),
        next_step="rename the class folders, or remove those that are not a class, then: balance screen FOLDER",
    )


def _with_near(label: str, labels: Sequence[str]) -> str:
    name, plain = _plain(label), {_plain(known): known for known in labels}
    near = difflib.get_close_matches(name, list(plain), 1) or [each for each in plain if name and name in each]
    told = [label, *(plain[each] for each in near)]
    forms = {unicodedata.normalize("NFC", each.casefold()) for each in told}
    one, *others = map(repr if len(forms) == len(told) else ascii, told)  # names that look alike, by their letters
    return one + (f" (near {', '.join(others)})" if others else "")


def _plain(label: str) -> str:
    return "".join(letter for letter in label.casefold() if letter.isalnum())


def _refused(found: str, next_step: str) -> BalanceError:
    return CollectionError(
        needed="a separate folder, with synthetic images in a folder for each class",
        found=found,
        next_step=f"{next_step}, then: balance screen FOLDER",
    )
