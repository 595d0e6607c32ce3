"""The settings of what `analysis` judges: here, since the command line is read without importing that package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, cast

from balancer.errors import ComparisonError, SettingsError
from balancer.settings import Settings, option
from balancer.workspace.placement_settings import ENGINES

_SEEDS, _QUICK_SEEDS = 5, 3
_RECIPES = ("strong", "plain")
_MOST_PORTS = 65535
_DEVICE = "cuda, mps or cpu."


@dataclass(frozen=True, slots=True)
class PowerSettings(Settings):
    """Of which class the smallest detectable difference is measured, and for which difference patients are counted.

    >>> PowerSettings(difference=0.1).changed()
    {'difference': 0.1}
    """

    label: str | None = option(
        None,
        "The class or finding to compare (default: the rarest in training; of findings, with enough test patients).",
    )
    difference: float = option(0.05, "Print how many patients are needed to detect this difference.")


@dataclass(frozen=True, slots=True)
class CheckLabelsSettings(Settings):
    """How suspected labels are searched.

    >>> CheckLabelsSettings(folds=3).changed()
    {'folds': 3}
    """

    COMMAND: ClassVar[str] = "labels"
    out: Path | None = option(None, "Table of suspected labels (default: .balance/reports/suspected-labels.csv).")
    folds: int = option(5, "Number of classifiers; each judges the patients that it has not seen.", minimum=2)
    steps: int = option(300, "Training steps of each quick classifier.", minimum=1)
    size: int = option(64, "Image size in pixels for the classifiers.", minimum=16)
    seed: int = option(0, "Same seed, same result.")
    device: str = option("auto", _DEVICE)


@dataclass(frozen=True, slots=True)
class DetectabilitySettings(Settings):
    """How real and synthetic images of a balanced folder are told apart.

    >>> DetectabilitySettings(seeds=3).changed()
    {'seeds': 3}
    """

    COMMAND: ClassVar[str] = "probe"
    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)
    model: str | None = option(None, "The model that generated the images (default: the one adapted here).")
    steps: int = option(300, "Training steps of each quick classifier.", minimum=1)
    seeds: int = option(5, "Number of classifiers, and of controls; use at least 5.", minimum=2)
    size: int = option(64, "Image size in pixels for the classifiers.", minimum=16)
    permutations: int = option(399, "Random permutations of the labels real and synthetic.", minimum=199)
    seed: int = option(0, "Same seed, same result.")
    device: str = option("auto", _DEVICE)


@dataclass(frozen=True, slots=True)
class FidelitySettings(Settings):
    """How near synthetic images are to real ones, and in which features that is measured.

    >>> FidelitySettings(k=3).changed()
    {'k': 3}
    """

    COMMAND: ClassVar[str] = "quality"
    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)
    weights: Path | None = option(
        None, "ResNet-50 or DenseNet-121 as a .safetensors file, whose features are compared.", place=True
    )
    k: int = option(5, "Number of neighbours for precision and recall.", minimum=1)
    steps: int = option(600, "Training steps of the embedding, without --weights (fewer for few images).", minimum=1)
    seed: int = option(0, "Same seed, same result.")
    device: str = option("auto", _DEVICE)


@dataclass(frozen=True, slots=True)
class CompareSettings(Settings):
    """Which arms are trained on which images, how often and how long, and by which class they are judged.

    >>> CompareSettings(quick=True).training_seeds, CompareSettings(seeds=2, seed=7).training_seeds
    ((0, 1, 2), (7, 8))
    """

    folder: Path | None = option(
        None, "The balanced folder (default: that of the last fill).", argument=True, place=True
    )
    quick: bool = option(False, "The two arms of the verdict, real images only, and a control; three seeds.")
    arm: tuple[str, ...] = option(
        (), "Only this arm beside the baseline; one with synthetic images is judged. May be repeated."
    )
    seeds: int | None = option(None, "Trainings of each arm (default: 5; with --quick 3).", minimum=1)
    steps: str = option("auto", "Training steps of every arm; auto: twice what the baseline needs.")
    backbone: str = option("small", "small, frozen, or a network of torchvision with its --weights.")
    weights: Path | None = option(None, "Its weights, as .safetensors.", place=True)
    size: int | None = option(None, "Side in pixels (default: 64; 224 with --weights).", minimum=16)
    recipe: str = option("strong", "How arms with synthetic images train: strong augmentation, or plain.")
    label: str | None = option(
        None, "The class or finding whose AUPRC decides, named beforehand (default: as in balance power)."
    )
    extra: tuple[str, ...] = option((), "NAME=FOLDER: other real images, as an arm of their own.")
    regions: Path | None = option(
        None,
        "Where findings are in your images, to transplant real lesions as a control (default: as the last fill).",
        place=True,
    )
    external: str | None = option(
        None, "Test the arms on another collection too: its name or folder, scanned here earlier."
    )
    cross_fit: int | None = option(
        None, "Adapt, fill and train again in each of this number of folds by patient.", minimum=2
    )
    redraw: int = option(
        1, "Fill with this number of generator seeds (the same as --seeds), to include their variance.", minimum=1
    )
    validation_only: bool = option(False, "Train and choose, without opening the test split.")
    force: bool = option(False, "Continue despite leaks (every figure is INVALID) or few images.")
    engine: str = option("local", "Where to train: local (this machine), or ray (workers, also of a cluster).")
    workers: int | None = option(
        None, "Trainings at once (default: one for each core; with ray on GPUs, one for each).", minimum=1
    )
    seed: int = option(0, "Same seed, same result.", minimum=0)
    device: str = option("auto", _DEVICE)

    @property
    def training_seeds(self) -> tuple[int, ...]:
        """The seed of each training of an arm."""
        count = self.seeds or (_QUICK_SEEDS if self.quick else _SEEDS)
        return tuple(range(self.seed, self.seed + count))

    @property
    def fixed_steps(self) -> int | None:
        """The steps of every training; `None`: as many as it takes."""
        return None if self.steps == "auto" else int(self.steps)

    @property
    def named_recipe(self) -> Literal["strong", "plain"]:
        """The recipe, as the arms know it."""
        return cast(Literal["strong", "plain"], self.recipe)

    @property
    def extra_folders(self) -> Mapping[str, Path]:
        """The folders of other real images, by name."""
        return {name: Path(folder) for name, _, folder in (text.partition("=") for text in self.extra)}

    def check(self) -> None:
        """Refuse values that there are not, and what cannot be asked for together."""
        if self.steps != "auto" and not (self.steps.isascii() and self.steps.isdecimal() and int(self.steps)):
            raise _refused("auto, or a number of steps, for --steps", repr(self.steps), "--steps auto")
        if self.recipe not in _RECIPES:
            raise _refused("strong or plain for --recipe", repr(self.recipe), "--recipe strong")
        if self.engine not in ENGINES:
            raise _refused(f"--engine as one of {', '.join(ENGINES)}", repr(self.engine), "--engine ray")
        if self.engine == "ray" and self.device not in ("auto", "cuda", "cpu"):
            raise _refused(
                "--device cuda or cpu, for --engine ray", f"--device {self.device}", "--engine ray --device cpu"
            )
        self._check_extra()
        self._check_one_way()

    def _check_extra(self) -> None:
        example = "--extra hospital-b=../b/train"
        for text in self.extra:
            name, _, folder = text.partition("=")
            if not (name and folder):
                raise _refused("NAME=FOLDER for --extra", repr(text), example)
            if sum(each.partition("=")[0] == name for each in self.extra) > 1:
                raise _refused("a different name for each --extra", f"two folders named {name!r}", example)

    def _check_one_way(self) -> None:
        """Folds and redraws are two ways; each redraw has a seed of its own, and each fold its own folder."""
        seeds = len(self.training_seeds)
        if self.cross_fit and self.redraw > 1:
            raise ComparisonError(
                needed="either --cross-fit, which fills each fold once, or --redraw",
                found="both",
                next_step=f"balance compare --cross-fit {self.cross_fit}, or: balance compare --redraw {seeds}",
            )
        if self.redraw not in (1, seeds):
            raise ComparisonError(
                needed="as many redraws as seeds: more trainings on the same images would understate the variance",
                found=f"--redraw {self.redraw} with --seeds {seeds}",
                next_step=f"balance compare --redraw {seeds}",
            )
        if self.cross_fit and self.folder is not None:
            raise ComparisonError(
                needed="no folder: each fold makes its own",
                found=f"{self.folder.name} with --cross-fit",
                next_step=f"balance compare --cross-fit {self.cross_fit}",
            )


def _refused(needed: str, found: str, example: str) -> SettingsError:
    return SettingsError(needed=needed, found=found, next_step=f"for example: balance compare {example}")


@dataclass(frozen=True, slots=True)
class ReportSettings(Settings):
    """Which balanced folder is reported on, and where the page and its figures go."""

    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)
    out: Path | None = option(None, "The page (default: .balance/reports/report.html).")
    private: bool = option(False, "Leave out patients' images and file names.")
    figures: Path | None = option(None, "Write every figure into this folder too, as PNG and PDF.")


@dataclass(frozen=True, slots=True)
class ScanReportSettings(Settings):
    """Where the page on a scan goes, and whether it shows images of patients.

    >>> ScanReportSettings(private=True).changed()
    {'private': True}
    """

    COMMAND: ClassVar[str] = "scan"
    out: Path | None = option(None, "The page (default: .balance/reports/scan.html).")
    private: bool = option(False, "Leave out patients' images and file names.")


@dataclass(frozen=True, slots=True)
class ReviewSettings(Settings):
    """Which images are shown to which reader, and what is asked."""

    reader: str | None = option(None, "Your name, which is stored with every answer.")
    label: str | None = option(None, "Only images of this class.")
    limit: int | None = option(None, "At most this many images (with --blinded: 50).", minimum=1)
    audit: int | None = option(
        None, "Show a random sample of this size instead of the images that wait for review.", minimum=1
    )
    blinded: bool = option(
        False, "Judge whether images are real or synthetic, half of each; no image is accepted or rejected."
    )
    seed: int = option(0, "With --audit or --blinded: same seed, same images for every reader.")
    port: int = option(0, "Port on 127.0.0.1 (default: a free one).", minimum=0)
    out: Path | None = option(None, "Balanced folder that is checked for rejected images (default: as in fill).")

    def check(self) -> None:
        """Refuse a port that there is not, and a sample of two kinds."""
        if self.port > _MOST_PORTS:
            raise SettingsError(
                needed=f"a port up to {_MOST_PORTS} for --port",
                found=str(self.port),
                next_step="leave --port out for a free one",
            )
        if self.blinded and self.audit:
            raise SettingsError(
                needed="--limit for the number of images of --blinded",
                found="--audit",
                next_step="for example: balance review --reader NAME --blinded --limit 50",
            )


@dataclass(frozen=True, slots=True)
class DemoSettings(Settings):
    """Where the demo works, and which of its two answers it shows.

    >>> DemoSettings(bad=True).place
    PosixPath('demo-bad')
    """

    folder: Path | None = option(
        None, "A new folder, or that of a demo that was stopped (default: demo).", argument=True
    )
    bad: bool = option(
        False, "Show the other answer: images of a generator that ignores the class, not screened (folder: demo-bad)."
    )

    @property
    def place(self) -> Path:
        """The folder."""
        return self.folder or Path("demo-bad" if self.bad else "demo")
