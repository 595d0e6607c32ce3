"""What later runs must repeat: every name under which something is remembered of a collection, and what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Value = TypeVar("Value")


class SharesFields(TypedDict):
    """What was asked of the split."""

    test: float
    val: float
    folds: int | None


class ProfileFields(TypedDict):
    """The file format of synthetic images and, where no pixel size is common, (width, height) by class."""

    output: Mapping[str, Any]
    sizes: Mapping[str, Sequence[Sequence[int]]]


class AttributesFields(TypedDict):
    """How sex, age group and view are distributed, and by what that was measured."""

    source: Sequence[Any]
    counts: Sequence[Any]


class PlaceFields(TypedDict):
    """A place relative to the working folder, or the name of a fetched model."""

    place: str


class PoolFields(TypedDict):
    """Where the images are that a checkpoint was pretrained on: their folder, and the path below it by the hash."""

    place: str
    files: Mapping[str, str]


class RunFields(TypedDict):
    """A command's settings, as far as they are not the usual ones, and how long it took."""

    settings: Mapping[str, Any]
    seconds: float


class FillFields(TypedDict):
    """The last fill, as far as it takes to merge it again."""

    deficits: Mapping[str, int]
    jobs: Mapping[str, Sequence[str]]
    run: Mapping[str, str]
    stamps: Sequence[str]
    place: str
    flat: bool
    usable: Sequence[str]
    form: NotRequired[str | None]


class ExcludedFields(TypedDict):
    """Images that a list leaves out: the name of its file, their paths, and those that are not tested either."""

    file: str
    paths: Sequence[str]
    untested: Sequence[str]


class Setting(str, Generic[Value]):
    """A name in the database, with the type of its value there: anything that JSON holds.

    >>> BASE.of("mine")
    'base of mine'
    """

    __slots__ = ()

    def of(self, name: str) -> Setting[Value]:
        """The setting of one thing among several."""
        return Setting(f"{self}{name}")


SPLIT = Setting[SharesFields]("split")
EXCLUDED = Setting[ExcludedFields]("excluded")
PROFILE = Setting[ProfileFields]("look")
ATTRIBUTES = Setting[AttributesFields]("attributes")
SOURCE_IMAGES = Setting[Mapping[str, Sequence[str]]]("material")
"""Paths of real images that synthetic ones may be made from, by class."""
LAST_FILL = Setting[FillFields]("last fill")
ACCEPTED = Setting[Mapping[str, str]]("accepted licences")
"""Names of licences by the hash of the weights that they were accepted for."""
BASE = Setting[PlaceFields]("base of ")
"""The base of an adapter, by the adapter's name."""
POOL = Setting[PoolFields]("pretrained on: ")
"""What a checkpoint was pretrained on, by the checkpoint's name."""
RUN = Setting[RunFields]("run of ")
"""A command's last run, or the run that made a model."""
ASKED = Setting[Mapping[str, Any]]("asked of ")
"""What version 0.1 kept in place of `RUN`: the options."""
SECONDS = Setting[float]("seconds of ")
"""And how long it took."""
STUDY = Setting[Sequence[str]]("blinded study: ")
"""The images of a blinded study, by its name."""
