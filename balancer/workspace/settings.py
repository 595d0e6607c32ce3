"""The settings of every run that makes something; those that judge are in `analysis`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from balancer.errors import SettingsError
from balancer.settings import Settings, option


@dataclass(frozen=True, slots=True)
class ScanSettings(Settings):
    """How a collection is read.

    `patient`, `patients` and what says where labels come from left out mean those of the last scan; an empty text for
    `patient`, `patients`, `labels` or `pattern` forgets them.

    >>> ScanSettings("data/", patient=r"(p\\d+)").changed()
    {'data': 'data', 'patient': '(p\\\\d+)'}
    """

    data: Path = option(help="Folder with a folder for each class, or with train, val and test above them.")
    patient: str | None = option(None, "Regular expression that finds the patient in a file name.")
    patients: str | None = option(None, "Table (CSV, TSV) of files or patients with sex, age and view.")
    labels: tuple[str, ...] = option((), "Table (CSV, TSV, XLSX, Parquet, gz) with the labels; more than once: joined.")
    columns: tuple[str, ...] = option(
        (), "Its columns by name or number, 'file=Image label=Finding patient=PID split=Set sex=.. age=.. view=..'."
    )
    on: str | None = option(None, "Column that joins several --labels tables.")
    separator: str | None = option(None, "What stands between several labels in a cell, such as '|'.")
    labels_in_columns: str | None = option(None, "Columns of one label each, 'A,B,C', with 1, 0, -1 or blank.")
    uncertain: str | None = option(None, "What -1 counts as: positive, negative or ignore (default: ignore).")
    rows: str | None = option(None, "Labels of several rows of one file: any, majority or all of them.")
    map: tuple[str, ...] = option((), "Change a label, 'OLD=NEW'; '*=NEW' every other, '=NEW' blank cells.")
    strip_prefix: str | None = option(None, "Start of the table's paths that the folder lacks.")
    ignore: tuple[str, ...] = option((), "Folders or files that are not read, as a glob: masks, '*/old/*'.")
    split_list: tuple[str, ...] = option((), "List of the files of a split, 'test=test_list.txt'.")
    pattern: str | None = option(None, "Regular expression over paths: (?P<label>..), (?P<patient>..), (?P<split>..).")
    target_label: str | None = option(None, "Where images have several labels: this one against the rest.")
    primary: str | None = option(None, "Where images have several labels: the first of 'A,B,C' that an image has.")
    as_is: bool = option(False, "Read it as it is, although the classes do not look like any.")
    deep: bool = option(False, "Decode every image: finds damaged ones, near-duplicates, borders and burnt-in letters.")

    def check(self) -> None:
        """Refuse values that there are not."""
        for name, known in (("uncertain", UNCERTAIN), ("rows", ROWS)):
            value = getattr(self, name)
            if value is not None and value not in known:
                raise SettingsError(
                    needed=f"--{name} as one of {', '.join(known)}",
                    found=repr(value),
                    next_step="for example: balance scan DATA --labels TABLE --rows any --uncertain ignore",
                )
        if self.target_label and self.primary:
            raise SettingsError(
                needed="one label against the rest, or the first of a list",
                found="--target-label and --primary",
                next_step="leave one of them out: balance scan DATA --target-label LABEL",
            )


UNCERTAIN, ROWS = ("positive", "negative", "ignore"), ("any", "majority", "all")


@dataclass(frozen=True, slots=True)
class SplitSettings(Settings):
    """Who trains, validates and tests; what is left out stays as it is, and all left out changes nothing."""

    test: float | None = option(None, "Share of the patients for the test split (default 0.2).")
    val: float | None = option(None, "Share of the patients for the validation split (default 0.15).")
    folds: int | None = option(None, "Folds for cross-fitting, 0 for none (default: 5 where a class is small).")
    splits: Path | None = option(None, "CSV or TSV with a column for the file or patient, and one for the split.")
    seed: int | None = option(None, "Same seed, same split (default 0).")
    force: bool = option(False, "Change it although something was trained on it.")

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
                needed="either shares to draw by, or a table of splits",
                found="--splits with --test or --val",
                next_step="leave --test and --val out: balance split --splits FILE",
            )


@dataclass(frozen=True, slots=True)
class AdaptSettings(Settings):
    """How a generator is taught the collection: a LoRA adapter on a base, or a small model from scratch.

    >>> AdaptSettings(base="sd15", minutes=60).folder_name
    'lora'
    """

    base: str | None = option(
        None,
        "Stable Diffusion 1.x, 2.x or XL to adapt by LoRA: a folder, fetched name or .safetensors.",
        place=True,
    )
    from_scratch: bool = option(False, "Train a small Stable Diffusion on your images alone.")
    start: str | None = option(
        None, "With --from-scratch: begin with the networks of an earlier such checkpoint.", place=True
    )
    rank: int | None = option(None, "With --base: rank of the adapter (default: 16).", minimum=1)
    learning_rate: float | None = option(None, "With --base: peak learning rate (default: 0.0001).")
    text_encoder: bool = option(False, "With --base: adapt the text encoder too.")
    batch_size: int | None = option(None, "Images a step (default: 8 with --base, 32 from scratch).", minimum=1)
    size: int | None = option(None, "Side of its images in pixels (default: the base's own, 64 from scratch).")
    steps: int | None = option(None, "Train for so many steps.", minimum=2)
    minutes: float | None = option(None, "Take so many minutes, reading and saving too (default: 30).")
    name: str | None = option(None, "What to call it (default: lora, or scratch).")
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    seed: int = option(0, "Same seed, same training.")
    device: str = option("auto", "cuda, mps or cpu.")
    accept_licence: bool = option(False, "With --base: you accept its licence; remembered.")

    @property
    def folder_name(self) -> str:
        """What the result is called."""
        return self.name or ("scratch" if self.from_scratch else "lora")

    def check(self) -> None:
        """Refuse two ways at once, or none, and options of the other way."""
        if self.from_scratch == (self.base is not None):
            raise SettingsError(
                needed="one way to adapt: a base, or from scratch",
                found="both" if self.from_scratch else "none",
                next_step="balance adapt --base FOLDER, or: balance adapt --from-scratch",
            )
        if self.from_scratch and (self.text_encoder or self.rank is not None or self.learning_rate is not None):
            raise SettingsError(
                needed="a base for --rank, --learning-rate and --text-encoder",
                found="--from-scratch, which trains all there is",
                next_step="leave them out, or: balance adapt --base FOLDER",
            )
        if self.folder_name != Path(self.folder_name).name or self.folder_name.startswith("."):
            raise SettingsError(
                needed="a plain name in --name, without / and not beginning with a dot",
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
    target: tuple[str, ...] = option((), "N, max, median, or LABEL=N; may be given more than once.")
    strategy: str | None = option(None, 'Bring to the largest class: minority, "not majority" or all.')
    times: tuple[str, ...] = option(
        (),
        "So many synthetic images for each real one, in every class below the largest however little it lacks, "
        "or LABEL=X; with --strategy minority in the smallest alone.",
    )
    max_ratio: float = option(10.0, "At most so many synthetic images for each real one of the class.")
    symmetric: bool = option(False, "Add the same number to every class.")
    no_holdout: bool = option(False, "A flat collection stays flat: nothing is kept for testing.")


@dataclass(frozen=True, slots=True)
class FillSettings(PlanSettings):
    """What is generated, by which model, how it is screened, and where it is merged.

    `no_screen` and `accept_unscreened` say which screen the command line, or a child process, makes; the one that is
    handed to `fill` decides.

    >>> FillSettings(target="500", model="sd15").changed()
    {'target': ['500'], 'model': 'sd15'}
    """

    model: str | None = option(
        None,
        "Stable Diffusion folder, fetched name or .safetensors, or FAMILY:WEIGHTS of an installed package; "
        "default: what adapt made.",
        place=True,
    )
    adapter: Path | None = option(None, "LoRA adapter for the model.", place=True)
    mode: str = option(
        "text",
        "How images are made: text; image (from a real one of the class); mix (from one of another class, edited "
        "to the wanted one); or shares, such as text=0.5,mix=0.5.",
    )
    strength: str | None = option(
        None, "How much of a real image is made again, chosen at random from these (default: 0.5,0.7,0.9)."
    )
    harmonise: bool = option(
        True,
        "Give each image the exposure and contrast of a random real training image of its class, or leave it.",
        flags=("--harmonise/--no-intensity-matching",),
    )
    steps: int = option(25, "Denoising steps.", minimum=1)
    guidance: float | None = option(
        None,
        "Guidance scale (default: 1 for one trained from scratch, in --mode mix 2; else 3; a raw one needs 7.5).",
        minimum=0,
    )
    size: int | None = option(None, "Side in pixels that the model generates at (default: its own).", minimum=1)
    batch_size: str = option("auto", "Images made at once.")
    device: str = option("auto", "cuda, mps or cpu.")
    seed: int = option(0, "Same seed, same images.")
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    retries: int = option(3, "Make at most so many times the deficit again for what is rejected.", minimum=0)
    no_screen: bool = option(False, "Check nothing but that images can be read; provenance and card say so.")
    accept_unscreened: bool = option(
        False, "Take images that could not be screened for copies of patients; provenance and card say so."
    )
    out: Path | None = option(None, "The balanced folder (default: <collection>-balanced beside the collection).")

    @property
    def at_once(self) -> int | None:
        """How many images are made at once; `None`: as many as suit the device."""
        return None if self.batch_size == "auto" else int(self.batch_size)

    def check(self) -> None:
        """Refuse a batch size that is no number, and modes and strengths that there are not."""
        if self.batch_size != "auto" and not (self.batch_size.isascii() and self.batch_size.isdigit() and self.at_once):
            raise SettingsError(
                needed="a number above 0, or auto, for --batch-size",
                found=repr(self.batch_size),
                next_step="balance fill --batch-size auto",
            )
        if (self.mode, self.strength) != ("text", None):
            from balancer.filling.generation_modes import read_ways

            read_ways(self.mode, self.strength)


@dataclass(frozen=True, slots=True)
class MergeSettings(Settings):
    """Where the balanced folder goes, and which images of another generator are taken in first.

    `no_screen` and `accept_unscreened` say which screen the command line makes; the one handed to `merge` decides.
    """

    candidates: Path | None = option(
        None, "Folder with a folder of synthetic images for each class.", flags=("--from",)
    )
    out: Path | None = option(None, "The balanced folder (default: where the last fill put it).")
    no_screen: bool = option(
        False, "With --from: check nothing but that images can be read; provenance and card say so."
    )
    accept_unscreened: bool = option(
        False, "With --from: take images that could not be screened for copies of patients; provenance says so."
    )

    def check(self) -> None:
        """Refuse overrides of a screen where nothing is screened."""
        if self.candidates is None and (self.no_screen or self.accept_unscreened):
            given = "--no-screen" if self.no_screen else "--accept-unscreened"
            raise SettingsError(
                needed=f"--from with {given}: without it nothing is screened at all",
                found=given,
                next_step=f"balance merge, or: balance merge --from FOLDER {given}",
            )


@dataclass(frozen=True, slots=True)
class ScreenSettings(Settings):
    """Which images of another generator are screened."""

    candidates: Path = option(help="Folder with a folder of synthetic images for each class.")


@dataclass(frozen=True, slots=True)
class UnmergeSettings(Settings):
    """Which balanced folder the synthetic images are taken out of."""

    folder: Path = option(help="The balanced folder.")


@dataclass(frozen=True, slots=True)
class VerifySettings(Settings):
    """Which balanced folder is checked."""

    folder: Path | None = option(None, "The balanced folder (default: that of the last fill).", argument=True)


@dataclass(frozen=True, slots=True)
class DoctorSettings(Settings):
    """Which model, adapter and prompts are looked at, and on which device."""

    model: str | None = option(
        None, "Model to look at: a folder, fetched name or .safetensors; default: adapted.", place=True
    )
    adapter: Path | None = option(None, "LoRA adapter to look at, on its base or on --model.", place=True)
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.", place=True)
    device: str = option("auto", "cuda, mps or cpu.")
    no_draw: bool = option(False, "Do not load the model and draw with it, which takes time.")


@dataclass(frozen=True, slots=True)
class ExplainSettings(Settings):
    """Which image is explained."""

    file: Path = option(help="An image of a balanced folder, or one that was taken out of it.")


@dataclass(frozen=True, slots=True)
class PromptsSettings(Settings):
    """Which prompts are made, and by whose tokens they are counted, and images made."""

    label: str | None = option(None, "One class; by default all of the scanned collection.")
    count: int = option(10, "How many for each class.", minimum=1, flags=("-n",))
    pack: str | None = option(None, "Template pack: chest, bone, or your own YAML file.")
    seed: int = option(0, "The seed that fill will use.")
    model: str | None = option(
        None, "With --sample or --check: model to generate with or count tokens by; by default what adapt made."
    )
