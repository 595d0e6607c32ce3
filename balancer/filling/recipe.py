"""All that decides which images are made, and the files that they become."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import pandas as pd

from balancer.collection.attributes import JointDistribution
from balancer.collection.scan import Collection
from balancer.filling.generation_modes import ModeSampler
from balancer.imaging.decode import Header, OutputFormat, common_format
from balancer.jobs import GenerationConfig, Job, Mode, job_seed
from balancer.prompting.packs import TemplatePack
from balancer.prompting.prompts import make_prompt
from balancer.splits.split import Split
from balancer.store.database import Ledger
from balancer.store.setting_names import ATTRIBUTES, PROFILE, AttributesFields, ProfileFields

_SIZES = 200  # sizes of a class to choose from, where no size is common


@dataclass(frozen=True, slots=True)
class OutputProfile:
    """What files a collection has: their format and, where no pixel size is common, sizes of each class."""

    output: OutputFormat
    sizes: Mapping[str, Sequence[tuple[int, int]]]

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> OutputProfile:
        """The profile whose fields went through JSON."""
        sizes = {label: [(width, height) for width, height in pairs] for label, pairs in fields["sizes"].items()}
        return cls(OutputFormat.from_fields(fields["output"]), sizes)

    def sizes_of(self, label: str) -> Sequence[tuple[int, int]]:
        """Sizes of a class's own images; of all images where it has none."""
        return self.sizes.get(label) or [size for sizes in self.sizes.values() for size in sizes]


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides which images are made: with the same recipe, image `index` of a label is the same image.

    `guidance` has the scales of modes that do not use that of `config`; `of_sets` the attributes of label sets, which
    are those of the real images that have the set: what goes together there goes together here. `wanted` is the finding
    that each set is made for.
    """

    packs: Mapping[str, TemplatePack]
    config: GenerationConfig
    profile: OutputProfile
    seed: int = 0
    attributes: JointDistribution = field(default_factory=JointDistribution)
    sampler: ModeSampler = field(default_factory=ModeSampler)
    guidance: Mapping[Mode, float] = field(default_factory=dict)
    of_sets: Mapping[str, JointDistribution] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)

    def job(self, label: str, index: int) -> Job:
        """The job of image `index` of `label`."""
        seed = job_seed(self.seed, label, index)
        attributes = self.of_sets.get(label, self.attributes)
        pack = self.packs[label]
        prompt = make_prompt(pack, label, index, self.seed, pack.words(attributes.draw(index, self.seed)))
        method = self.sampler.draw(self.seed, label, index)
        size = self.sampler.size_of(label, method) or self.profile.output.size
        size = size or random.Random(seed).choice(self.profile.sizes_of(label))
        scale = self.guidance.get(method.mode, self.config.guidance_scale)
        config = replace(self.config, guidance_scale=scale)
        output, wanted = replace(self.profile.output, size=size), self.wanted.get(label, "")
        return Job(label, index, prompt, seed, config, method, output, wanted, pack.stated(prompt.slots))


def measure_profile(collection: Collection, split: Split) -> OutputProfile:
    """The file format of the training images, and the pixel sizes of each class where no size is common.

    Raises:
        ImageError: a training image that was looked at cannot be decoded.
    """
    train = collection.images.loc[split.paths("train", "holdout")]
    columns = ("format", "mode", "bits", "width", "height")
    rows = zip(train.index, *(train[name] for name in columns), strict=True)
    output = common_format(((path, Header(*row)) for path, *row in rows), collection.root)
    return OutputProfile(output, _sizes(train) if output.size is None else {})


def resolve_profile(collection: Collection, split: Split, ledger: Ledger, *, remember: bool) -> OutputProfile:
    """The profile that the first fill measured, as long as the format is the same: images made then remain usable.

    Raises:
        ImageError: a training image that was looked at cannot be decoded.
    """
    now, stored = measure_profile(collection, split), ledger.setting(collection, PROFILE)
    earlier = None if stored is None else OutputProfile.from_fields(stored)
    if earlier is not None and earlier.output.kind == now.output.kind and earlier.sizes.keys() == now.sizes.keys():
        return earlier
    if remember:
        ledger.save_setting(collection, PROFILE, cast(ProfileFields, asdict(now)))
    return now


def resolve_attributes(
    collection: Collection, split: Split, ledger: Ledger, *, remember: bool
) -> tuple[JointDistribution, bool]:
    """The distribution of sex, age group and view in the training images, and whether prompts change because of it.

    With the same table it is the one that the first fill saw, so that images made then remain usable.
    """
    table = None if collection.table is None else collection.table.sha256
    columns = {} if collection.table is None else dict(collection.table.columns)
    source = [table, columns, collection.patient_source, split.origin]
    stored = ledger.setting(collection, ATTRIBUTES)
    if stored is not None and stored["source"] == source:
        return JointDistribution.from_fields(stored["counts"]), False
    found = JointDistribution.fit(collection.images.loc[split.paths("train")])
    before = () if stored is None else JointDistribution.from_fields(stored["counts"]).counts
    if remember and (stored is not None or found.counts):
        ledger.save_setting(collection, ATTRIBUTES, AttributesFields(source=source, counts=list(found.counts)))
    return found, found.counts != before and ledger.setting(collection, PROFILE) is not None


def attributes_of_sets(collection: Collection, split: Split, names: Sequence[str]) -> dict[str, JointDistribution]:
    """Sex, age group and view of the training images of each label set; none of a set that no image has."""
    train = collection.images.loc[split.paths("train")]
    rows = {str(name): some for name, some in train.groupby("label")}
    return {name: JointDistribution.fit(rows[name]) for name in names if name in rows}


def _sizes(train: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Pixel sizes of each class's training images, about as often as they occur."""
    found = {}
    for label, rows in train.groupby("label"):
        some = rows.iloc[:: max(1, len(rows) // _SIZES)]
        found[str(label)] = [(int(w), int(h)) for w, h in zip(some["width"], some["height"], strict=True)]
    return found
