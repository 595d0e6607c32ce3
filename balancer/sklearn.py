"""imbalanced-learn's door: a sampler over lists of image paths and labels, for those who have no folders."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from balancer.errors import CollectionError, OutputError, PlanError, SettingsError
from balancer.files import write_whole
from balancer.planning import STRATEGIES
from balancer.progress import Task
from balancer.store.state_dir import NAME
from balancer.workspace.fill_run import FillResult, fill
from balancer.workspace.scan_run import scan
from balancer.workspace.settings import FillSettings, ScanSettings
from balancer.workspace.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from balancer.filling.verdicts import ScreenSource

Strategy = str | float | Mapping[str, int] | Callable[[Sequence[str]], Mapping[str, int]]
Texts = npt.NDArray[np.str_]
_log = logging.getLogger(__name__)
_COLUMNS = ("file", "label", "patient")
_SEEDS = 2**31


class StableDiffusionSampler(BaseEstimator):  # type: ignore[misc]  # scikit-learn brings no types
    """Over-sample classes of radiographs with generated images, in imbalanced-learn's words.

    `fit_resample` takes paths and labels of *training* images and never writes to them. Everything that it makes is in
    a folder of its own below `out`, one for each list of images: the same list goes on where it was stopped, and
    folds of a cross-validation do not mix. scikit-learn's estimator checks fit arrays of numbers and do not apply.

    Parameters:
        screen: what checks the generated images: `analysis.fit_screen`, or `NoScreen(reason)`. There is no default.
        sampling_strategy: "minority", "not minority", "not majority" (the same as "auto") or "all"; a float, the ratio
            of the smaller to the larger of two classes; a dict of the images wanted in all of each class; or a
            function of the labels that gives such a dict.
        model: its folder, name of a fetched model, .safetensors file, or FAMILY:WEIGHTS of a plug-in.
        out: folder for what is made; it must not be in the folder of the images.
        random_state: int for the same images each time (a stopped run needs one to go on); a `RandomState`; or None.
        adapter, mode, steps, guidance, pack, device, max_ratio: as in `FillSettings`.

    Attributes:
        sampling_strategy_: images to generate, by class, as in imbalanced-learn.
        is_synthetic_: array (n_resampled,) of bool, true for generated images.
        provenance_: table with a row for each generated image: file, model, prompt, seed, scores, decision.
        seed_: the seed of the images.
        folder_: the folder with the balanced dataset and its dataset card; None where nothing had to be generated.

    >>> paths = sorted((folder / "xrays").rglob("*.png"))
    >>> sampler = StableDiffusionSampler(
    ...     screen=NoScreen("example"), model="noise:8", out=folder / "resampled", random_state=0
    ... )
    >>> resampled, labels = sampler.fit_resample(paths, [path.parent.name for path in paths])
    >>> sampler.sampling_strategy_, len(paths), len(resampled), labels[-1]
    ({'nodule': 4}, 14, 18, np.str_('nodule'))
    """

    def __init__(
        self,
        *,
        screen: ScreenSource | Callable[[Workspace], ScreenSource],
        sampling_strategy: Strategy = "auto",
        model: str | None = None,
        out: Path | str = "resampled",
        random_state: int | np.random.RandomState | None = None,
        adapter: Path | str | None = None,
        mode: str = "text",
        steps: int = 25,
        guidance: float | None = None,
        pack: str | None = None,
        device: str = "auto",
        max_ratio: float = 10.0,
    ) -> None:
        self.screen = screen
        self.sampling_strategy = sampling_strategy
        self.model = model
        self.out = out
        self.random_state = random_state
        self.adapter = adapter
        self.mode = mode
        self.steps = steps
        self.guidance = guidance
        self.pack = pack
        self.device = device
        self.max_ratio = max_ratio

    def fit_resample(
        self, paths: Iterable[Path | str], labels: Iterable[str], *, groups: Iterable[object] | None = None
    ) -> tuple[Texts, Texts]:
        """Return all paths and labels, the generated ones appended; `groups` names the patient of each image.

        The checks for copies of patients need `groups`. Classes that get fewer images than wanted cause a warning.

        Raises:
            SettingsError: a parameter has no meaning.
            PlanError: a class that there is not, or fewer images than it has.
            CollectionError: paths that are missing, repeated or unreadable, or labels that do not fit them.
            BalanceError: whatever `balancer.fill` refuses.
        """
        _require_screen(self.screen)
        files, classes = _checked(paths, labels)
        patients = None if groups is None else [str(group) for group in groups]
        self.seed_ = _seed(self.random_state)
        settings = self._settings(classes)
        root = _common_folder(files)
        table = _table([path.relative_to(root).as_posix() for path in files], classes, patients)
        workspace = _workspace(Path(self.out), root, table)
        _scan(workspace, root, table, files, patients is not None)
        result = self._fill(workspace, settings)
        self._report(result)
        return self._resampled([str(path) for path in files], classes)

    def _settings(self, classes: Sequence[str]) -> FillSettings:
        return FillSettings(
            **_wanted(self.sampling_strategy, classes),
            model=self.model,
            adapter=self.adapter,  # type: ignore[arg-type]  # the settings make it a Path
            mode=self.mode,
            steps=self.steps,
            guidance=self.guidance,
            pack=self.pack,
            device=self.device,
            max_ratio=self.max_ratio,
            seed=self.seed_,
            no_holdout=True,
        )

    def _fill(self, workspace: Workspace, settings: FillSettings) -> FillResult:
        screen: Any = self.screen
        source = screen if hasattr(screen, "overrides") else screen(workspace)
        place = replace(settings, out=workspace.home / "balanced")
        return fill(workspace, place, screen=source, progress=_Logged())

    def _report(self, result: FillResult) -> None:
        """Set the attributes; warn of classes that get fewer images than wanted."""
        import pandas as pd

        from balancer.dataset.provenance import provenance_rows

        plan = result.planned.plan
        self.sampling_strategy_ = {label: count for label, count in plan.deficits.items() if count}
        self.folder_ = None if result.merged is None else result.merged.folder
        rows = [] if self.folder_ is None else list(provenance_rows(self.folder_))
        self.provenance_: pd.DataFrame = pd.DataFrame(rows)
        capped = {label: f"{plan.deficits[label]} of {wanted} (max_ratio)" for label, wanted in plan.capped.items()}
        short = {label: f"{count} fewer, since images were rejected" for label, count in result.short.items()}
        for label, why in (*capped.items(), *short.items()):
            warnings.warn(f"{label} gets fewer images than wanted: {why}", UserWarning, stacklevel=3)

    def _resampled(self, files: list[str], classes: list[str]) -> tuple[Texts, Texts]:
        rows = self.provenance_
        made = [] if self.folder_ is None else [str(self.folder_ / file) for file in rows["file"]]
        self.is_synthetic_ = np.repeat([False, True], [len(files), len(made)])
        return np.array([*files, *made]), np.array([*classes, *(rows["label"] if made else ())])


class _Logged:
    """Progress that goes to Python's `logging`, under this module's name."""

    def message(self, text: str) -> None:
        _log.info(text)

    def start(self, what: str, done: int = 0) -> Task:
        _log.info("%s", what)
        return lambda done, total, made=None, note="": None


def _require_screen(screen: object) -> None:
    if not hasattr(screen, "overrides") and not callable(screen):
        raise SettingsError(
            needed="a screen, or a function that makes one for a workspace",
            found=f"screen={screen!r}",
            next_step="screen=analysis.fit_screen, or screen=balancer.NoScreen(reason)",
        )


def _seed(random_state: Any) -> int:
    """An int is the seed itself, as in `FillSettings`; anything else draws one."""
    if isinstance(random_state, Integral) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(_SEEDS))


def _checked(paths: Iterable[Path | str], labels: Iterable[str]) -> tuple[list[Path], list[str]]:
    """Absolute paths, and a class name for each.

    Raises:
        CollectionError: they do not fit each other, a file is missing or repeated, or a label is no text.
    """
    files = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100  # links keep their own names
    classes = list(labels)
    for found in _faults(files, classes):
        raise CollectionError(
            needed="one existing file for each path, each once, and one class name for each",
            found=found,
            next_step="sampler.fit_resample(paths=['a.png', ...], labels=['nodule', ...])",
        )
    return files, [str(label) for label in classes]


def _faults(files: Sequence[Path], classes: Sequence[object]) -> Iterator[str]:
    if len(files) != len(classes) or not files:
        yield f"{len(files)} paths and {len(classes)} labels"
    yield from (f"{file}, which is no file" for file in files if not file.is_file())
    yield from (f"{file} more than once" for file, count in Counter(files).items() if count > 1)
    for label in classes:
        if not isinstance(label, str) or not label or label != label.strip():
            yield f"the label {label!r}: prompts are written from class names"


def _wanted(strategy: Any, classes: Sequence[str]) -> dict[str, Any]:
    """`sampling_strategy` as `FillSettings` puts it: a strategy, or targets.

    >>> _wanted("auto", ["a", "b", "b"]), _wanted(0.5, ["a", "b", "b", "b", "b"])
    ({'strategy': 'not majority'}, {'target': ['a=2', 'b=4']})

    Raises:
        SettingsError: nothing that imbalanced-learn knows.
        PlanError: a class that there is not, or fewer images than it has.
    """
    counts = dict(sorted(Counter(classes).items()))
    if callable(strategy):
        strategy = strategy(classes)
    if strategy == "auto":
        return {"strategy": "not majority"}
    if isinstance(strategy, str) and strategy in STRATEGIES:
        return {"strategy": strategy}
    if strategy == "not minority":
        smallest = min(counts, key=counts.__getitem__)
        strategy = {label: max(counts.values()) for label in counts if label != smallest}
    elif isinstance(strategy, Real) and not isinstance(strategy, Integral):
        strategy = _of_ratio(float(strategy), counts)
    if not isinstance(strategy, Mapping):
        raise SettingsError(
            needed=f"sampling_strategy as auto, {', '.join(STRATEGIES)}, not minority, a float, a dict or a function",
            found=repr(strategy),
            next_step="for example: sampling_strategy='auto', or sampling_strategy={'nodule': 500}",
        )
    return {"target": [f"{label}={count}" for label, count in _totals(strategy, counts).items()]}


def _of_ratio(ratio: float, counts: Mapping[str, int]) -> dict[str, int]:
    """Images of the smaller of two classes, in all, for a ratio to the larger."""
    if len(counts) != 2 or not 0 < ratio <= 1:
        raise PlanError(
            needed="two classes and a ratio above 0 and at most 1, where sampling_strategy is a float",
            found=f"{ratio:g} for {len(counts)} classes",
            next_step="name images by class: sampling_strategy={'nodule': 500}",
        )
    smaller, larger = sorted(counts, key=counts.__getitem__)
    return {smaller: int(ratio * counts[larger])}


def _totals(given: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Images of each class in all; nothing is taken away."""
    for label, total in given.items():
        if label not in counts or not isinstance(total, Integral) or total < counts[label]:
            raise PlanError(
                needed="a class, and at least as many images as it has: nothing is taken away",
                found=f"{label!r}: {total!r}; the classes have {dict(counts)}",
                next_step=f"for example: sampling_strategy={{{next(iter(counts))!r}: {max(counts.values())}}}",
            )
    return {label: int(given.get(label, count)) for label, count in counts.items()}


def _common_folder(files: Sequence[Path]) -> Path:
    """The nearest folder that holds all images."""
    try:
        found = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:  # on several drives
        found = Path(files[0].anchor)
    if found == Path(found.anchor):
        raise CollectionError(
            needed="one folder, with folders in it or without, that holds all images",
            found=f"{files[0]} and others, which have no folder in common",
            next_step="copy them into one folder, and give fit_resample paths=... of these",
        )
    return found


def _table(paths: Sequence[str], classes: Sequence[str], patients: Sequence[str] | None) -> bytes:
    """The lists as a CSV of file, label and, where known, patient.

    Raises:
        CollectionError: there are not as many patients as images.
    """
    if patients is not None and len(patients) != len(paths):
        raise CollectionError(
            needed="the patient of each image",
            found=f"{len(patients)} groups for {len(paths)} paths",
            next_step="sampler.fit_resample(paths, labels, groups=patients)",
        )
    lists = [paths, classes, *([] if patients is None else [patients])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS[: len(lists)])
    writer.writerows(sorted(zip(*lists, strict=True)))
    return buffer.getvalue().encode(errors="surrogateescape")


def _workspace(out: Path, root: Path, table: bytes) -> Workspace:
    """A folder below `out` for these lists alone, whatever workspace there is above it."""
    home = out.resolve() / hashlib.sha256(str(root).encode(errors="surrogateescape") + table).hexdigest()[:12]
    if home.is_relative_to(root.resolve()):
        raise OutputError(
            needed="a folder outside that of the images, which is never written to",
            found=f"out={str(out)!r}, inside {root}",
            next_step="choose another folder: StableDiffusionSampler(out=...)",
        )
    try:
        home.mkdir(parents=True, exist_ok=True)
        (home / NAME).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise OutputError(
            needed=f"permission to write to {out}",
            found=error.strerror or str(error),
            next_step="choose another folder: StableDiffusionSampler(out=...)",
        ) from error
    return Workspace(home)


def _scan(workspace: Workspace, root: Path, table: bytes, files: Sequence[Path], grouped: bool) -> None:
    """Read the images, all of them; the table with patients stays in the state folder."""
    workspace.state.cache.mkdir(exist_ok=True)
    labels = workspace.state.cache / "labels.csv"
    write_whole(labels, table)
    columns = " ".join(f"{name}={name}" for name in _COLUMNS[: 2 + grouped])
    settings = ScanSettings(root, labels=(str(labels),), columns=(columns,), as_is=True)
    collection = scan(workspace, settings, progress=_Logged()).collection
    left = {path.relative_to(root).as_posix() for path in files} - set(collection.images.index)
    if left:
        first = min(left)
        why = next((each.message for each in collection.findings if first in map(str, each.paths)), "not found again")
        raise CollectionError(
            needed="images that can be read",
            found=f"{root / first}: {why}" + (f" (and {len(left) - 1} more)" if len(left) > 1 else ""),
            next_step="leave these paths out: fit_resample(paths=..., labels=...)",
        )
