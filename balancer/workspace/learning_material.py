"""Which training images a generator can learn from, and how their captions are worded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from balancer.collection.label_sets import NO_FINDING, UNCLEAR, findings_in
from balancer.progress import Progress
from balancer.prompting.choice import choose_packs, require_words
from balancer.text import many

if TYPE_CHECKING:
    from balancer.collection.scan import Collection, Sample
    from balancer.prompting.packs import Packs
    from balancer.workspace.workspace import Session


def learnable(session: Session, parts: Sequence[str], progress: Progress) -> pd.Index[str]:
    """The images of parts of the split that a caption can be written for; says how many others there are.

    Of an image with uncertain findings and no certain one nobody can say what it shows.
    """
    paths: pd.Index[str] = session.split.paths(*parts)
    if session.collection.label_sets is None:
        return paths
    clear = (session.collection.images.loc[paths, "label"] != UNCLEAR).to_numpy()
    if not clear.all():
        left = many(int((~clear).sum()), "image")
        progress.message(f"Note: not learned from: {left} without a certain finding, which no caption can describe.")
    some: pd.Index[str] = paths[clear]
    return some


def caption_packs(session: Session, pack: str | None, learned: Sequence[Sample], progress: Progress) -> Packs:
    """The template pack of each class, or label set, of the images that are learned from.

    Raises:
        PromptError: the pack cannot be read, or the classes are grades and no pack is named.
    """
    from balancer.splits.split import training_counts

    collection = session.collection
    require_words(pack, collection.labels)
    labels = sorted({sample.label for sample in learned})
    if collection.label_sets is None:
        return choose_packs(pack, labels, progress)
    nothing = [label for label in labels if label == (collection.label_sets.nothing or NO_FINDING)]
    counts = training_counts(collection, session.split)
    packs = choose_packs(pack, [*collection.labels, *nothing], progress, sets=labels, counts=counts)
    return {label: packs[label] for label in labels}


def findings_of_sets(collection: Collection, learned: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
    """The findings of each label set by its name; nothing where images have one class each."""
    if collection.label_sets is None:
        return {}
    return {label: findings_in(label) for label in sorted({sample.label for sample in learned})}
