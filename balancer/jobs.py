"""Deficits, prompts and seeds to `Job`s; a job's id is the hash of everything that makes its image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from sys import intern
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from balancer.collection.attributes import Attributes
from balancer.collection.run_lengths import from_runs, runs_from_text
from balancer.collection.scan import Sample
from balancer.imaging.decode import OutputFormat
from balancer.prompting.prompts import Prompt

Decision = Literal["accept", "review", "reject", "unscreened"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)
"""What can be decided about a candidate."""

_NOTHING = Attributes()
Mode = Literal["text", "image", "mix", "inpaint"]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Weights by what they are, never by where they lie.

    `name` is a hub name or a folder's last part; `revision` a hub commit, `None` for a local folder; `sha256`
    the hash over all weight files.
    """

    name: str
    revision: str | None
    sha256: str


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """All settings of the generator that change an image. `width` and `height` are in pixels.

    Guidance is applied from the first share of the steps of `guidance_interval` to the second; `None`: in all of them.
    """

    model: ModelRef
    adapter: ModelRef | None
    adapter_scale: float
    scheduler: str
    steps: int
    guidance_scale: float
    width: int
    height: int
    dtype: str
    batch_size: int
    guidance_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class ModeDraw:
    """How an image comes about: from `source` unless from text alone; `reference` lends its intensities.

    `mask` says which part of the source is made anew, "" all of it: run lengths in COCO's text, of the size at which
    the generator draws; `mask_from` says where it was taken from.
    """

    mode: Mode = "text"
    source: Sample | None = None
    strength: float | None = None
    reference: Sample | None = None
    mask: str = ""
    mask_from: str = ""


@dataclass(frozen=True)  # no slots: the id is kept beside the fields
class Job:
    """One image to make: number `index` of its label, and the file it becomes.

    The index runs on within the label and the seed comes from (run seed, label, index), so a raised target
    keeps what was made for the lower one. `wanted` is the finding that an image of several was made for, `stated` what
    the prompt states of sex, age group and view; they say nothing more of the pixels, and are no part of the id.
    """

    label: str
    index: int
    prompt: Prompt
    seed: int
    config: GenerationConfig
    method: ModeDraw
    output: OutputFormat
    wanted: str = ""
    stated: Attributes = _NOTHING

    @cached_property
    def id(self) -> str:
        """20 hexadecimal digits of the SHA-256 of all that makes the image, computed once."""
        return _id_of(replace(self, wanted="", stated=_NOTHING).to_json())

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """What is made anew, of shape (config.height, config.width); all where the image is no part of another."""
        shape = self.config.height, self.config.width
        return from_runs(runs_from_text(self.method.mask), *shape) if self.method.mask else np.ones(shape, bool)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces."""
        fields = asdict(self)
        if not self.wanted:
            del fields["wanted"]
        if not any(self.stated):
            del fields["stated"]
        if not self.method.mask:  # as it was written before there were masks, so that ids stay
            del fields["method"]["mask"], fields["method"]["mask_from"]
        if self.config.guidance_interval is None:  # jobs of earlier versions keep their ids
            del fields["config"]["guidance_interval"]
        return _canonical(fields)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that `to_json` wrote; what many jobs have in common is shared, since a ledger may hold a million."""
        fields = json.loads(text)
        fields["label"] = intern(fields["label"])
        fields["prompt"] = _prompt_from(fields["prompt"])
        fields["config"] = _config_from(fields["config"])
        fields["method"] = _method_from(fields["method"])
        fields["output"] = _output_from(json.dumps(fields["output"]))
        fields["stated"] = _stated(*fields.get("stated", ()))
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class ExternalOrigin:
    """What is known of an image that another generator made.

    `file` is its path in the folder `folder` that it was handed over in, `sha256` the hash of its bytes there and
    `pixels` that of its grey values; `given` is a copy of those bytes, colours and all. `form` names the file format
    that it was brought into; `composite`: it says itself that it was made from a real image.
    """

    file: str
    sha256: str
    pixels: str
    folder: str
    given: Path
    form: str
    composite: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A synthetic image on disk; `job` is `None` when it was made elsewhere, and then `origin` tells what is known.

    `pixels` is the hash of its grey values (`imaging.pixel_hash`), "" where it was not taken; `device` what it was
    generated on, "" where that is not known.
    """

    label: str
    path: Path
    sha256: str
    job: Job | None
    origin: ExternalOrigin | None = None
    pixels: str = ""
    device: str = ""

    @property
    def wanted(self) -> str:
        """The finding that an image of several was made for; "" where it is not on record."""
        return "" if self.job is None else self.job.wanted

    @property
    def id(self) -> str:
        """20 hexadecimal digits of the SHA-256 of the job; made elsewhere: of its class and its bytes as given."""
        if self.job is not None:
            return self.job.id
        return self.sha256[:20] if self.origin is None else external_id(self.label, self.origin.sha256)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about a candidate, why, and by whom; a score that is text names an image."""

    decision: Decision
    scores: Mapping[str, float | str]
    reasons: tuple[str, ...]
    reviewer: str


@dataclass(frozen=True, slots=True)
class BlindedAnswer:
    """What a reader took one image of a blinded study for; `answer` `None`: taken back."""

    study: str
    reader: str
    image: str
    truth: Literal["real", "synthetic"]
    answer: Literal["real", "synthetic"] | None


def is_id_of(text: str, job: Job, key: str) -> bool:
    """Whether a text of canonical JSON, which a job was read from, is that of the job with this id."""
    for name, value in (("stated", job.stated), ("wanted", job.wanted)):  # no text of the job can look like these
        text = text.replace(f',"{name}":{_canonical(value)}', "", 1)
    return _id_of(text) == key


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def external_id(label: str, sha256: str) -> str:
    """The id of an image that was made elsewhere, whatever format it is brought into.

    >>> external_id("nodule", "ab") == external_id("nodule", "ab") != external_id("normal", "ab")
    True
    """
    return hashlib.sha256(f"{label}\x00{sha256}".encode()).hexdigest()[:20]


def job_seed(run_seed: int, label: str, index: int) -> int:
    """A 63-bit seed for image `index` of `label`.

    >>> job_seed(0, "nodule", 0) == job_seed(0, "nodule", 0) != job_seed(0, "nodule", 1)
    True
    """
    digest = hashlib.sha256(f"{run_seed}\x00{label}\x00{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def batch_ranges(count: int, batch_size: int, start: int = 0) -> Iterator[range]:
    """Full batches of consecutive indices from `start` until at least `count` are covered.

    >>> list(batch_ranges(5, 4))
    [range(0, 4), range(4, 8)]
    """
    for first in range(start, start + count, batch_size):
        yield range(first, first + batch_size)


_SHARED = 1024  # models and settings that are held once, however many jobs have them
_model = lru_cache(maxsize=_SHARED, typed=True)(ModelRef)
_config = lru_cache(maxsize=_SHARED, typed=True)(GenerationConfig)
_stated = lru_cache(maxsize=_SHARED)(Attributes)


def _prompt_from(fields: dict[str, Any]) -> Prompt:
    texts = {name: intern(fields[name]) for name in ("text", "negative", "template")}
    return Prompt(
        **{**fields, **texts, "slots": {intern(slot): intern(word) for slot, word in fields["slots"].items()}}
    )


@lru_cache(maxsize=_SHARED)
def _output_from(text: str) -> OutputFormat:
    return OutputFormat.from_fields(json.loads(text))


def _model_from(fields: dict[str, Any] | None) -> ModelRef | None:
    return None if fields is None else _model(**fields)


def _config_from(fields: dict[str, Any]) -> GenerationConfig:
    models = {"model": _model_from(fields["model"]), "adapter": _model_from(fields["adapter"])}
    interval = fields.get("guidance_interval")
    return _config(**{**fields, **models, "guidance_interval": None if interval is None else tuple(interval)})


def _method_from(fields: dict[str, Any]) -> ModeDraw:
    sources = {key: None if fields[key] is None else Sample(**fields[key]) for key in ("source", "reference")}
    return ModeDraw(**{**fields, **sources})
