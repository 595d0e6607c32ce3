"""The settings of every run that makes something; those that judge are in `analysis`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balancer.errors import SettingsError
from balancer.settings import Settings, option


@dataclass(frozen=True, slots=True)
class ScanSettings(Settings):
    """How a collection is read.

    `patient` and `patients` left out mean those of the last scan; an empty text forgets them.

    >>> ScanSettings("data/", patient=r"(p\\d+)").changed()
    {'data': 'data', 'patient': '(p\\\\d+)'}
    """

    data: Path = option(help="Folder with a folder for each class, or with train, val and test above them.")
    patient: str | None = option(None, "Regular expression that finds the patient in a file name.")
    patients: str | None = option(None, "Table (CSV, TSV) of files or patients with sex, age and view.")
    columns: tuple[str, ...] = option((), "Its columns, 'patient=PID sex=Gender view=ViewPosition'.")
    deep: bool = option(False, "Decode every image: finds damaged ones, near-duplicates, borders and burnt-in letters.")


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
