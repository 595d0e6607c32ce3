"""What `balance compare`, `probe`, `quality` and `adapt` kept as JSON, as frozen classes: a field for a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analysis.statistics.intervals import Interval

_BY_FOLD = ("free-by-fold", "synthetic-by-fold")  # what version 0.1 put together of several arms
_ORDER = ("real", "free", "counter", "synthetic", "control")


@dataclass(frozen=True, slots=True)
class Difference(Interval):
    """The difference of an arm to the reference, with its p-value and that after Holm's correction."""

    p: float | None = None
    p_holm: float | None = None

    @property
    def p_value(self) -> float | None:
        """The corrected one where there is one."""
        return self.p if self.p_holm is None else self.p_holm


@dataclass(frozen=True, slots=True)
class CurvePoint(Interval):
    """The primary figure that was reached with a number of real images of the rare class."""

    images: int = 0


Figures = Mapping[str, Mapping[str, Interval]]
"""For each arm and metric, a figure with its interval."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Metrics as `compare` names them: "auprc:nodule", "macro_f1"."""

    primary: str = ""
    secondary: str = ""

    @property
    def named(self) -> list[str]:
        """Those that there are."""
        return [each for each in (self.primary, self.secondary) if each]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The best arm without and with synthetic images, the mean of the primary endpoint on validation, and how."""

    free: str = ""
    synthetic: str = ""
    validation: Mapping[str, float] = field(default_factory=dict)
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class SameRecipe:
    """What the images do (`synthetic` less `arm`), and what the recipe of their arm does without them."""

    synthetic: str = ""
    arm: str = ""
    images: Mapping[str, Interval] = field(default_factory=dict)
    recipe: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stratum:
    """The arms on the images of one value of an attribute; `left_out` says why there are none."""

    images: int | None = None
    arms: Figures = field(default_factory=dict)
    difference: Difference | None = None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Bin:
    """A point of a reliability diagram."""

    predicted: float
    observed: float
    images: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of a class was tested."""

    images: int | None = None
    patients: int | None = None


@dataclass(frozen=True, slots=True)
class Detectable:
    """What one way of testing can show: the smallest differences, and the patients that the wanted one takes."""

    images: int | None = None
    patients: int | None = None
    auprc: float | None = None
    recall: tuple[float, ...] = ()
    needed: int | None = None


@dataclass(frozen=True, slots=True)
class StoredPower:
    """The smallest differences that can be shown for a class, and what was assumed."""

    sentence: str = ""
    label: str = ""
    difference: float | None = None
    one_split: Detectable | None = None
    cross_fitted: Detectable | None = None
    notes: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RealImageEquivalent:
    """What an arm is worth in real images, and the learning curve that tells."""

    sentence: str = ""
    arm: str = ""
    rises: bool = True
    curve: tuple[CurvePoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Design:
    """How it was compared, from the settings: `folds` is 0 for one split, `refitted` are commands of each fold."""

    folds: int = 0
    redraws: int = 1
    refitted: tuple[str, ...] = ()
    chosen_on: str = "validation"
    split_sha256: str = ""
    repeats: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class StoredExternal:
    """The arms on another collection, which chose nothing; `left_out` counts its unused images by reason."""

    name: str = ""
    sentence: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    arms: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFinding:
    """What is told of a finding, where images have several: both arms of the verdict, and their difference."""

    told: str = ""
    images: int | None = None
    patients: int | None = None
    baseline: Interval | None = None
    synthetic: Interval | None = None
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """A comparison, as `metrics.json` has it; `test` and `train` are by class."""

    sentence: str = ""
    verdict: str = ""
    points: tuple[str, ...] = ()
    best_arm: str = ""
    stamps: tuple[str, ...] = ()
    endpoint: Endpoint = Endpoint()
    arms: Figures = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    chosen: Chosen = Chosen()
    reference: str = ""
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    like_for_like: SameRecipe = SameRecipe()
    strata: Mapping[str, Mapping[str, Stratum]] = field(default_factory=dict)
    findings: Mapping[str, StoredFinding] = field(default_factory=dict)
    reliability: Mapping[str, tuple[Bin, ...]] = field(default_factory=dict)
    test: Mapping[str, Sizes] = field(default_factory=dict)
    train: Mapping[str, int] = field(default_factory=dict)
    seeds: int | None = None
    power: StoredPower | None = None
    exchange: RealImageEquivalent | None = None
    external: StoredExternal | None = None
    openings: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    design: Design = Design()
    balanced_sha256: str = ""

    @property
    def how_named(self) -> str:
        """Whether the endpoint was named before the test split was opened; empty where that is not on record."""
        if self.openings is None:
            return ""
        looks = self.openings - 1
        after = f"chosen after {looks} look{'' if looks == 1 else 's'} at the test split"
        return after if looks > 0 else "named beforehand"

    @property
    def ordered(self) -> list[str]:
        """The arms by kind, and each kind by its primary figure, the best first."""

        def place(name: str) -> tuple[int, float]:
            kind, first = self.kinds.get(name, ""), self.arms[name].get(self.endpoint.primary)
            return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), -(first.value if first else 0.0)

        return sorted(self.arms, key=place)

    @property
    def trained(self) -> list[str]:
        """The arms that were trained, without those that are combined from the choices of folds."""
        return [name for name in self.ordered if name not in _BY_FOLD]

    @property
    def metrics(self) -> list[str]:
        """The metrics that any arm has, the endpoints first."""
        found = dict.fromkeys(name for figures in self.arms.values() for name in figures)
        first = [name for name in self.endpoint.named if name in found]
        return [*first, *(name for name in found if name not in first and not name.startswith("prevalence:"))]

    @property
    def shown(self) -> list[str]:
        """The few arms that figures compare: real images alone, the best free and the best synthetic one."""
        wanted = ("real", self.reference or self.chosen.free, self.chosen.synthetic)
        return [name for name in dict.fromkeys(wanted) if name in self.arms]

    def without_names(self) -> Results:
        """The results without examples in the stamps, which name files and patients."""
        short = f"{_nameless(self.verdict)}. Nothing can be concluded from this comparison."
        return replace(
            self,
            sentence=_nameless(self.sentence),
            verdict=short if self.verdict.startswith(_INVALID) else self.verdict,
            points=tuple(map(_nameless, self.points)),
            stamps=tuple(map(_nameless, self.stamps)),
        )


_INVALID = "INVALID"


def _nameless(said: str) -> str:
    """A name may hold any sign: nothing behind the first one is kept."""
    before, bracket, _ = said.partition(" (")
    return f"{before} (names left out)" if bracket and said.startswith(_INVALID) else said


@dataclass(frozen=True, slots=True)
class Detector:
    """How well one detector distinguishes synthetic from real images of a class."""

    name: str = ""
    area: Interval | None = None
    p_value: float | None = None


@dataclass(frozen=True, slots=True)
class ProbedClass:
    """The detectors of a class, the best first."""

    label: str = ""
    detectors: tuple[Detector, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredProbe:
    """What `balance probe` found; `level` is the p-value at which a detector alarms."""

    verdict: str = ""
    fixes: tuple[str, ...] = ()
    level: float | None = None
    classes: tuple[ProbedClass, ...] = ()
    balanced_sha256: str = ""


@dataclass(frozen=True, slots=True)
class FidelityOfClass:
    """Metrics from synthetic to real images, and the same between real ones."""

    sentence: str = ""
    figures: Mapping[str, Interval] = field(default_factory=dict)
    reference: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredQuality:
    """What `balance quality` found, by class."""

    embedding: str = "an embedding"
    notes: tuple[str, ...] = ()
    classes: Mapping[str, FidelityOfClass] = field(default_factory=dict)
    balanced_sha256: str = ""


@dataclass(frozen=True, slots=True)
class StoredSuspect:
    """An image, its label, the one that classifiers prefer, and the quality of its label: 0 is worst."""

    image: str = ""
    given: str = ""
    suggested: str = ""
    quality: float = 0.0


@dataclass(frozen=True, slots=True)
class StoredLabels:
    """What `balance labels` found, the worst first."""

    checked: int = 0
    suspected: tuple[StoredSuspect, ...] = ()
    notes: tuple[str, ...] = ()
    balanced_sha256: str = ""


@dataclass(frozen=True, slots=True)
class StoredFill:
    """How long the last fill that generated anything took, and on what; `generating` are seconds too."""

    seconds: float = 0.0
    generating: float = 0.0
    device: str = ""
    made: int = 0
    images_a_second: float | None = None
    balanced_sha256: str = ""


@dataclass(frozen=True, slots=True)
class KeptStep:
    """The step of a training whose weights were kept, where one was chosen."""

    step: int | None = None


@dataclass(frozen=True, slots=True)
class TrainedWith:
    """What the report shows of the settings of a training: the user's own prompts for samples."""

    validation_prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model that was trained here says of itself."""

    statement: str = ""
    kept: KeptStep = field(default_factory=KeptStep)
    settings: TrainedWith = field(default_factory=TrainedWith)


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """Similarities between patients, a mapping of space to value for each, and whether the generator knew them."""

    found: tuple[Mapping[str, float], ...] = ()
    learned: bool = False
