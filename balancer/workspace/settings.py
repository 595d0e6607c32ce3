"""The settings of every run that makes something; those that judge are in `analysis`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    preset: str | None = option(None, "Known layout, such as nih (balance presets lists them), or a file of your own.")
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
    rank: int | None = option(None, "With --base: rank of the adapter (default: 16).", minimum=1)
    learning_rate: float | None = option(None, "With --base: peak learning rate (default: 0.0001).")
    text_encoder: bool = option(False, "With --base: adapt the text encoder too.")
    batch_size: int | None = option(None, "Images a step (default: 8 with --base, 32 from scratch).", minimum=1)
    size: int | None = option(None, "Side of its images in pixels (default: the base's own, 64 from scratch).")
    steps: int | None = option(None, "Train for so many steps.", minimum=2)
    minutes: float | None = option(None, "Train for so many minutes (default: 30).")
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
