"""What `--mode inpaint` paints of each class: into which real images, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from balancer.collection.label_sets import findings_in, means_nothing
from balancer.collection.regions import Regions, read_regions
from balancer.errors import PlanError
from balancer.filling.lesion_places import (
    Painting,
    Place,
    central_place,
    differing_place,
    lung_place,
    places_of_lesions,
    told_place,
)
from balancer.filling.source_images import SourceImages, images_without
from balancer.progress import Progress
from balancer.prompting.packs import choose_pack
from balancer.text import many, printable

if TYPE_CHECKING:
    from balancer.collection.scan import Collection, Sample
    from balancer.workspace.settings import FillSettings


def choose_painting(
    collection: Collection,
    settings: FillSettings,
    sources: SourceImages,
    labels: Sequence[str],
    wanted: Mapping[str, str],
    size: tuple[int, int],
    progress: Progress,
) -> dict[str, Painting]:
    """How images of these classes are painted at `size` (height, width); says of each where.

    `sources` are training images by class, or by label set, of which `wanted` is the finding that each is made for.

    Raises:
        PlanError: there is no normal image to paint into.
        TableError: the regions cannot be used.
    """
    regions = None if settings.regions is None else read_regions(settings.regions, collection)
    if regions is not None:
        progress.message(f"Regions: {regions.summary}")
    sizes = dict(
        zip(
            collection.images.index,
            zip(collection.images["width"], collection.images["height"], strict=True),
            strict=True,
        )
    )
    found = {}
    for label in labels:
        finding = wanted.get(label, label)
        normal = _normal(collection, settings.normal, sources, label, wanted)
        places = _places(collection, regions, sources, finding, normal, size)
        known = {each.path: (int(sizes[each.path][0]), int(sizes[each.path][1])) for each in normal}
        found[label] = Painting(normal, places, size, known)
        where = f"in {many(len(places), 'region')} of real images" if places[0].is_real else places[0].origin
        progress.message(f"Inpaint {printable(finding)}: into {many(len(normal), 'image')} without it, {where}.")
    return found


def _normal(
    collection: Collection, named: str | None, sources: SourceImages, label: str, wanted: Mapping[str, str]
) -> Sequence[Sample]:
    """The training images to paint a class into: normal ones, or those with just the other findings of its set."""
    if collection.is_multi_label and named is not None:
        raise PlanError(
            needed="one class for each image, for --normal",
            found=f"several findings on an image, and --normal {named}",
            next_step="leave it out: balance fill --mode inpaint; a finding is painted into images without it",
        )
    if collection.is_multi_label:
        found: Sequence[Sample] = images_without(collection, sources, {label: wanted[label]}, exactly=True)[label]
        if found:
            return found
        rest = " and ".join(each for each in findings_in(label) if each != wanted[label])
        raise PlanError(
            needed=f"a training image with {f'just {rest}' if rest else 'no finding'}, to paint {wanted[label]} into",
            found="none",
            next_step="use --mode mix, or each finding by itself: balance fill --alone --mode inpaint",
        )
    classes = [each for each in collection.labels if each == named or (named is None and means_nothing(each))]
    if not classes:
        raise PlanError(
            needed="a class of normal images to paint into, for --mode inpaint",
            found=f"{', '.join(collection.labels)}" + (f"; no {named!r}" if named else ""),
            next_step="name it: balance fill --mode inpaint --normal LABEL; or use --mode mix",
        )
    if label in classes:
        raise PlanError(
            needed="a class with a finding, for --mode inpaint",
            found=f"{label!r}, which is what is painted into",
            next_step=f"fill others: balance fill --target LABEL=N --mode inpaint; or {label!r} by --mode text",
        )
    found = [sample for each in classes for sample in sources.get(each, ())]
    if not found:
        raise PlanError(
            needed=f"a training image of {' or '.join(classes)} to paint into, for --mode inpaint",
            found="none in the training split",
            next_step="use --mode text, or see the splits: balance split",
        )
    return found


def _places(
    collection: Collection,
    regions: Regions | None,
    sources: SourceImages,
    finding: str,
    normal: Sequence[Sample],
    size: tuple[int, int],
) -> Sequence[Place]:
    """Regions of real lesions; else where the class differs from normal, or is told from it; else anywhere inside."""
    several = collection.is_multi_label
    of_class = [
        sample
        for label, some in sorted(sources.items())
        if (finding in findings_in(label) if several else label == finding)
        for sample in some
    ]
    real = [] if regions is None else places_of_lesions(regions, of_class, finding, size)
    if real:
        return real
    if regions is not None:
        raise PlanError(
            needed=f"a region of {finding} in a training image, in {regions.file.name}",
            found="regions of other classes, or of images that do not train, alone",
            next_step="correct the file; or, where the class differs from normal: leave --regions out",
        )
    learned = differing_place(collection.root, of_class, normal, finding)
    if learned is not None:
        return [learned]
    is_chest = choose_pack(collection.labels).name == "chest"
    field = lung_place(collection.root, normal) if is_chest else central_place()
    return [told_place(collection.root, of_class, normal, finding, field) or field]
