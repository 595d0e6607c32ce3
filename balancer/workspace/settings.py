"""The settings of every run that makes something; those that judge are in `judging_settings`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from balancer.errors import SettingsError
from balancer.settings import Settings, option
from balancer.workspace.drawing_settings import DrawingSettings
from balancer.workspace.mode_settings import ModeSettings
from balancer.workspace.placement_settings import PlacementSettings


@dataclass(frozen=True, slots=True)
class ScanSettings(Settings):
    """How a collection is read.

    `patient`, `patients`, `exclude` and what says where labels come from left out mean those of the last scan; an empty
    text for `patient`, `patients`, `exclude`, `labels` or `pattern` forgets them.

    >>> ScanSettings("data/", patient=r"(p\\d+)").changed()
    {'data': 'data', 'patient': '(p\\\\d+)'}
    """

    data: Path = option(
        help="Collection: a folder for each class, or train, val and test folders with class folders in them."
    )
    patient: str | None = option(None, "Regular expression that finds the patient in a file name.")
    patients: str | None = option(None, "Table (CSV, TSV) of files or patients with sex, age and view.")
    preset: str | None = option(None, "Known layout, such as nih (balance presets lists them), or a file of your own.")
    labels: tuple[str, ...] = option(
        (), "Table with the labels (CSV, TSV, XLSX, Parquet, gz). May be repeated: the tables are joined."
    )
    columns: tuple[str, ...] = option(
        (), "Columns by name or number: 'file=Image label=Finding patient=PID split=Set sex=.. age=.. view=..'."
    )
    on: str | None = option(None, "Column by which several --labels tables are joined.")
    separator: str | None = option(None, "Character between several labels in one cell, such as '|'.")
    labels_in_columns: str | None = option(
        None, "Columns that hold one label each, 'A,B,C', with the values 1, 0, -1 or blank."
    )
    uncertain: str | None = option(None, "How to read -1: positive, negative or ignore (default: ignore).")
    blank: str | None = option(
        None, "How to read a blank cell of --labels-in-columns: negative or unknown (default: unknown)."
    )
    rows: str | None = option(
        None, "Where a file has several rows: take a label that any, the majority or all of them give."
    )
    map: tuple[str, ...] = option(
        (), "Rename a label: 'OLD=NEW'; '*=NEW' for every other label, '=NEW' for blank cells."
    )
    strip_prefix: str | None = option(
        None, "Start of the paths in the table, to be removed before they are compared with the files."
    )
    ignore: tuple[str, ...] = option((), "Folders or files to leave out, as a glob: masks, '*/old/*'.")
    split_list: tuple[str, ...] = option((), "Text file that lists the files of one split: 'test=test_list.txt'.")
    pattern: str | None = option(
        None, "Regular expression for paths, with the groups (?P<label>..), (?P<patient>..), (?P<split>..)."
    )
    source: str | None = option(None, "Plug-in of another package that reads the labels: NAME:ARGUMENT.")
    target_label: str | None = option(
        None, "Where images have several findings: make two classes, this finding and all else."
    )
    primary: str | None = option(
        None, "Where images have several findings: one class for each image, the first of 'A,B,C' that it has."
    )
    as_is: bool = option(False, "Accept the classes as they are read, although they do not look like classes.")
    deep: bool = option(
        False, "Decode every image, to find damaged images, near-duplicates, borders and burnt-in letters."
    )

    exclude: str | None = option(
        None, "List of images to leave out of training, such as wrong labels; '' takes all of them back."
    )

    def check(self) -> None:
        """Refuse values that there are not."""
        for name, known in (("uncertain", UNCERTAIN), ("blank", BLANK), ("rows", ROWS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise SettingsError(
                    needed=f"--{name} as one of {', '.join(known)}",
                    found=repr(value),
                    next_step="for example: balance scan DATA --labels TABLE --rows any --uncertain ignore",
                )
        if self.target_label and self.primary:
            raise SettingsError(
                needed="either --target-label or --primary",
                found="--target-label and --primary",
                next_step="leave one of them out: balance scan DATA --target-label LABEL",
            )


FORMATS = ("png", "dicom", "both")
_FORMAT_HELP = (
    "Of a DICOM collection: png, dicom (secondary captures that name no patient), or both (default): DICOM lies in "
    "FOLDER-dicom then."
)


def require_format(format: str | None) -> None:
    """Refuse a form of the balanced folder that there is not."""
    if format is not None and format not in FORMATS:
        raise SettingsError(
            needed=f"--format as one of {', '.join(FORMATS)}",
            found=repr(format),
            next_step="balance fill --format both",
        )


UNCERTAIN, BLANK, ROWS = ("positive", "negative", "ignore"), ("negative", "unknown"), ("any", "majority", "all")


@dataclass(frozen=True, slots=True)
class SplitSettings(Settings):
    """Who trains, validates and tests; what is left out stays as it is, and all left out changes nothing."""

    test: float | None = option(None, "Share of the patients for the test split (default 0.2).")
    val: float | None = option(None, "Share of the patients for the validation split (default 0.15).")
    folds: int | None = option(None, "Folds for cross-fitting, 0 for none (default: up to 5 where a class is small).")
    splits: Path | None = option(
        None, "Your own split: a CSV or TSV with a column for the file or the patient, and one for the split."
    )
    seed: int | None = option(None, "Same seed, same split (default 0).")
    force: bool = option(False, "Change the split although a model was trained on it.")

    @property
    def asks_for_nothing(self) -> bool:
        """Whether the stored split is only to be shown."""
        return not {*self.changed()} - {"force"}

    @property
    def draws(self) -> bool:
        """Whether a share is given to draw by."""
        return self.test is not None or self.val is not None

    def check(self) -> None:
        """Refuse shares beside a table."""
        if self.splits is not None and self.draws:
            raise SettingsError(
                needed="either shares of the patients, or a table of splits",
                found="--splits with --test or --val",
                next_step="leave --test and --val out: balance split --splits FILE",
            )


KEEP, SQUARE = "keep", "square"
_OF_BASES = (*("rank", "learning_rate", "regions", "text_encoder", "aspect_ratio", "prior_share", "validation_prompt"),)


@dataclass(frozen=True, slots=True)
class AdaptSettings(Settings):
    """How a generator is taught the collection: a LoRA adapter on a base, or a small model from scratch.

    >>> AdaptSettings(base="sd15", minutes=60).folder_name
    'lora'
    """

    base: str | None = option(
        None,
        "Stable Diffusion, Sana or PixArt-Sigma to adapt by LoRA: folder, name of a fetched model, .safetensors file.",
        place=True,
    )
    from_scratch: bool = option(False, "Train a small Stable Diffusion on your images only.")
    start: str | None = option(
        None, "With --from-scratch: begin with the weights of an earlier checkpoint from scratch.", place=True
    )
    pretrain: Path | None = option(
        None, "With --from-scratch: half of it on this folder of other radiographs first, unlabelled.", place=True
    )
    rank: int | None = option(None, "With --base: rank of the adapter (default: 16).", minimum=1)
    learning_rate: float | None = option(None, "With --base: peak learning rate (default: 0.0001).")
    text_encoder: bool = option(False, "With --base: adapt the text encoder too.")
    regions: Path | None = option(
        None,
        "With --base: where findings are in your images, as for fill --mode inpaint: half of the loss is of them.",
        place=True,
    )
    aspect_ratio: str | None = option(
        None,
        "With --base: keep the proportions of most training images, or square (default: keep; square on a base "
        "trained from scratch).",
    )
    prior_share: float | None = option(
        None,
        "With --base: share of each batch, such as 0.5, that is of the common classes (larger than the mean class), so "
        "that the adapter does not forget them; rare ones get the rest (default: the square root of their size).",
    )
    validation_prompt: tuple[str, ...] = option(
        (), "With --base: a prompt of your own that samples are generated of at each evaluation. May be repeated."
    )
    batch_size: int | None = option(
        None, "Images in each training step (default: 8 with --base, 32 from scratch).", minimum=1
    )
    size: int | None = option(None, "Image size in pixels (default: the size of the base; 64 from scratch).")
    steps: int | None = option(None, "Number of training steps.", minimum=2)
    minutes: float | None = option(None, "Time limit in minutes, including reading and saving (default: 30).")
    name: str | None = option(None, "Name of the result (default: lora, or scratch).")
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    seed: int = option(0, "Same seed, same training.")
    device: str = option("auto", "cuda, mps or cpu.")
    accept_licence: bool = option(False, "With --base: accept its licence. This is remembered.")
    workers: int | None = option(
        None, "GPUs of this machine that share every batch, a process on each (default: 1).", minimum=1
    )
    log: str | None = option(None, "Plug-in of another package that records the training's curves: NAME:PLACE.")

    @property
    def folder_name(self) -> str:
        """What the result is called."""
        return self.name or ("scratch" if self.from_scratch else "lora")

    def check(self) -> None:
        """Refuse two ways at once, or none, and options of the other way."""
        if self.from_scratch == (self.base is not None):
            raise SettingsError(
                needed="either --base or --from-scratch",
                found="both" if self.from_scratch else "none",
                next_step="balance adapt --base FOLDER, or: balance adapt --from-scratch",
            )
        given = [name for name in _OF_BASES if getattr(self, name) not in (None, False, ())]
        if self.from_scratch and given:
            raise SettingsError(
                needed=f"--base, for {' and '.join('--' + name.replace('_', '-') for name in given)}",
                found="--from-scratch, which trains the whole model",
                next_step="leave them out, or: balance adapt --base FOLDER",
            )
        if self.pretrain is not None and (not self.from_scratch or self.start is not None):
            raise SettingsError(
                needed="--from-scratch without --start, for --pretrain",
                found="--base" if self.start is None else "--start, which learned something before",
                next_step="leave --pretrain out, or: balance adapt --from-scratch --pretrain FOLDER",
            )
        if self.aspect_ratio not in (None, KEEP, SQUARE):
            raise SettingsError(
                needed=f"--aspect-ratio {KEEP} or --aspect-ratio {SQUARE}",
                found=repr(self.aspect_ratio),
                next_step="balance adapt --base FOLDER, which keeps the proportions",
            )
        if not all(map(str.strip, self.validation_prompt)):
            raise SettingsError(
                needed="a text in --validation-prompt",
                found="an empty one",
                next_step="leave it out: balance adapt --base FOLDER",
            )
        if self.folder_name != Path(self.folder_name).name or self.folder_name.startswith("."):
            raise SettingsError(
                needed="a name in --name without / and without a dot at the start",
                found=repr(self.folder_name),
                next_step="for example: balance adapt --name mine",
            )


@dataclass(frozen=True, slots=True)
class PlanSettings(Settings):
    """How many synthetic images each class gets.

    >>> PlanSettings(target="max", max_ratio=3).changed()
    {'target': ['max'], 'max_ratio': 3.0}
    """

    COMMAND: ClassVar[str] = "fill"
    target: tuple[str, ...] = option(
        (), "Training images that each class should have: N, max, median, or LABEL=N. May be repeated."
    )
    strategy: str | None = option(None, 'Classes to bring to the size of the largest: minority, "not majority" or all.')
    times: tuple[str, ...] = option(
        (),
        "Synthetic images for each real image, in every class smaller than the largest, "
        "or LABEL=X. With --strategy minority only in the smallest class.",
    )
    max_ratio: float = option(10.0, "Largest number of synthetic images for each real image of a class.")
    symmetric: bool = option(False, "Add the same number of images to every class.")
    alone: bool = option(
        False, "Where images have several findings: generate each by itself, not together with what real images show."
    )
    no_holdout: bool = option(False, "Do not split a collection without splits: nothing is kept for testing.")


@dataclass(frozen=True, slots=True)
class FillSettings(DrawingSettings, ModeSettings, PlacementSettings, PlanSettings):
    """What is generated, by which model, how it is screened, and where it is merged.

    `no_screen` and `accept_unscreened` say which screen the command line, or a child process, makes; the one that is
    handed to `fill` decides.

    >>> FillSettings(target="500", model="sd15").changed()
    {'target': ['500'], 'model': 'sd15'}
    """

    model: str | None = option(
        None,
        "Model: a folder, name of a fetched one, .safetensors file, or FAMILY:WEIGHTS of a plug-in; "
        "default: the newest model that adapt made.",
        place=True,
    )
    adapter: Path | None = option(None, "LoRA adapter for the model.", place=True)
    harmonise: bool = option(
        True,
        "Match the exposure and contrast of each image to a random real training image of its class, or do not.",
        flags=("--harmonise/--no-intensity-matching",),
    )
    seed: int = option(0, "Same seed, same images.")
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    retries: int = option(
        3, "To replace rejected images, generate at most this many times the deficit again.", minimum=0
    )
    no_screen: bool = option(False, "Check only that images can be read; provenance and dataset card record it.")
    accept_unscreened: bool = option(
        False, "Accept images that could not be screened for copies of patients; provenance and dataset card record it."
    )
    out: Path | None = option(None, "The balanced folder (default: <collection>-balanced beside the collection).")
    format: str | None = option(None, _FORMAT_HELP)

    def check(self) -> None:
        """Refuse modes, strengths and formats that there are not."""
        PlacementSettings.check(self)
        DrawingSettings.check(self)
        ModeSettings.check(self)
        require_format(self.format)
        if self.no_screen and self.accept_unscreened:
            raise SettingsError(
                needed="one of --no-screen, which checks nothing, and --accept-unscreened",
                found="both",
                next_step="balance fill --target 500 --accept-unscreened",
            )


@dataclass(frozen=True, slots=True)
class MergeSettings(Settings):
    """Where the balanced folder goes, and which images of another generator are taken in first.

    `no_screen` and `accept_unscreened` say which screen the command line makes; the one handed to `merge` decides.
    """

    candidates: Path | None = option(
        None, "Folder with synthetic images in a folder for each class.", flags=("--from",)
    )
    out: Path | None = option(None, "The balanced folder (default: where the last fill put it).")
    format: str | None = option(None, _FORMAT_HELP)
    no_screen: bool = option(
        False, "With --from: check only that images can be read; provenance and dataset card record it."
    )
    accept_unscreened: bool = option(
        False, "With --from: accept images that could not be screened for copies of patients; provenance records it."
    )

    def check(self) -> None:
        """Refuse overrides of a screen where nothing is screened, and formats that there are not."""
        require_format(self.format)
        if self.candidates is None and (self.no_screen or self.accept_unscreened):
            given = "--no-screen" if self.no_screen else "--accept-unscreened"
            raise SettingsError(
                needed=f"--from with {given}: without --from nothing is screened",
                found=given,
                next_step=f"balance merge, or: balance merge --from FOLDER {given}",
            )


@dataclass(frozen=True, slots=True)
class ScreenSettings(Settings):
    """Which images of another generator are screened."""

    candidates: Path = option(help="Folder with synthetic images in a folder for each class.")


@dataclass(frozen=True, slots=True)
class UnmergeSettings(Settings):
    """Which balanced folder the synthetic images are taken out of."""

    folder: Path = option(help="The balanced folder.")


@dataclass(frozen=True, slots=True)
class VerifySettings(Settings):
    """Which balanced folder is checked."""

    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)


@dataclass(frozen=True, slots=True)
class ExplainSettings(Settings):
    """The image file to explain."""

    file: Path = option(help="An image in a balanced folder, or copied from one.")


@dataclass(frozen=True, slots=True)
class PromptsSettings(Settings):
    """Which prompts are made, and by whose tokens they are counted, and images made."""

    label: str | None = option(None, "Only this class (default: all classes of the scanned collection).")
    count: int = option(10, "Prompts for each class.", minimum=1, flags=("-n",))
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.")
    seed: int = option(0, "Seed, as for fill.")
    model: str | None = option(
        None, "With --sample or --check: model that generates, or whose tokens are counted (default: what adapt made)."
    )
