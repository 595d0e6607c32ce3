"""`balance probe` and `balance quality`: what can be said of the synthetic images without a test set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.again import last_model
from balancer.cli.commands.report import keep_result
from balancer.cli.console import Progress, message, result, result_json, shown, table
from balancer.cli.session import balanced_folder, opened
from balancer.errors import BalanceError, OutputError
from balancer.text import printable
from balancer.workspace.models import models_at_hand

if TYPE_CHECKING:
    from analysis.realism.detectability import Probe
    from analysis.realism.fidelity_by_class import Quality

_SHOWN = 8


def probe(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the remembered collection)."),
    model: str = typer.Option(None, help="The model that made the images (default: what adapt made here)."),
    steps: int = typer.Option(600, min=1, help="Training steps of the quick classifier."),
    size: int = typer.Option(64, min=16, help="Side in pixels that classifiers will be trained at."),
    permutations: int = typer.Option(399, min=199, help="Random exchanges of real and synthetic to compare with."),
    seed: int = typer.Option(0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Say how well real can be told from synthetic inside a class, by what, and whether a classifier leans on it.

    Example: balance probe xrays-balanced
    """
    from analysis.data.balanced_folder import read_merged
    from analysis.realism.detectability import ProbeSettings
    from analysis.realism.detectability import probe as look
    from analysis.realism.text import report
    from analysis.vision.reconstruction import autoencoder_of
    from balancer.devices import choose_device

    place = _chosen(folder)
    merged = read_merged(place)
    settings = ProbeSettings(size, steps, permutations, seed=seed, device=choose_device(device))
    show = _Phases()
    through = partial(show, "Through the autoencoder")
    autoencoder = autoencoder_of(merged.folder, _at_hand(), settings.device, through, model, message)
    found = look(merged, settings, autoencoder, show)
    show.close()
    keep_result(place, "probe.json", report(found))
    if as_json:
        result_json(report(found))
        return
    _print_probe(found)


def quality(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the remembered collection)."),
    weights: Path = typer.Option(None, help="ResNet-50 or DenseNet-121 as .safetensors, to compare in its features."),
    k: int = typer.Option(5, min=1, help="Neighbours for precision and recall."),
    steps: int = typer.Option(
        600, min=1, help="Training steps of the embedding, if there are no --weights (fewer for few images)."
    ),
    seed: int = typer.Option(0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Measure how near synthetic images are to held-out real ones, beside how near real ones are to each other.

    These figures do not say that the images help: only a comparison on real patients does.

    Example: balance quality xrays-balanced
    """
    from analysis.data.balanced_folder import read_merged
    from analysis.realism.fidelity_by_class import features_for, measure_quality, report
    from balancer.devices import choose_device

    place = _chosen(folder)
    merged = read_merged(place)
    show = _Phases()
    space = features_for(merged, weights, steps=steps, seed=seed, device=choose_device(device), progress=show)
    found = measure_quality(merged, space, k=k, seed=seed, progress=show)
    show.close()
    keep_result(place, "quality.json", report(found))
    if as_json:
        result_json(report(found))
        return
    _print_quality(found)


def _chosen(folder: Path | None) -> Path:
    """The folder that was named, else that of the remembered collection."""
    from balancer.dataset.merge import default_out

    if folder is not None:
        return folder
    with opened(write=False) as session:
        usual = balanced_folder(session)
        if usual is not None:
            return usual
        raise OutputError(
            needed="a balanced folder",
            found=f"none at its usual place, {shown(default_out(session.collection.root))}",
            next_step="make one: balance fill --target max, or name the one that fill --out made",
        )


def _at_hand() -> list[str]:
    """The models of the remembered collection, if there is one."""
    try:
        with opened(write=False) as session:
            return models_at_hand(session, last_model(session))
    except BalanceError:
        return []


def _print_probe(found: Probe) -> None:
    from analysis.realism.text import fixes, verdict

    result(printable(verdict(found)))
    for advice in fixes(found):
        result(f"Fix: {advice}")
    for each in found.classes:
        result()
        if each.unknown:
            result(f"{printable(each.label)}: {each.unknown}")
            continue
        result(f"{printable(each.label)}: {each.real} real and {each.synthetic} synthetic images ({each.positions})")
        rows = [
            [one.name, str(one.area), f"{one.p_value:.3f}", "yes" if one.alarms else "-"]
            for one in each.detectors[:_SHOWN]
        ]
        result(table(["told apart by", "AUROC [95%]", "p", "alarm"], rows))
    result()
    for note in found.left_out:
        result(f"Left out: {printable(note)}" if "unknown" not in note else f"Note: {printable(note)}")
    result(
        f"Compared at {found.settings.side} px, out of fold by patient; p counts all detectors and classes, from "
        f"{found.settings.permutations} exchanges of real and synthetic. AUROC 0.5 is chance, 1 is always."
    )


def _print_quality(found: Quality) -> None:
    from analysis.realism.fidelity_by_class import sentence

    for label, each in found.classes.items():
        result(printable(sentence(label, each)))
    rows = [
        [f"{label}: {name}", f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]", f"{same.value:.3g}", each.images]
        for label, each in found.classes.items()
        if each is not None
        for name, value, same in ((name, value, each.reference[name]) for name, value in each.figures.items())
    ]
    result()
    result(table(["class and figure", "real to synthetic [95%]", "real to real", "a side"], rows))
    result(f"Measured in {printable(found.space)}. KID is 0 where nothing differs; FID is biased upwards by few images")
    result("(compare it with real to real alone); precision: looks real; recall: every kind of real image is there.")
    for note in found.notes:
        result(f"Note: {printable(note)}")
    if not found.patients_known:
        result("Note: patients are unknown: halves of the real images may share some, so real to real looks nearer.")


class _Phases:
    """A line of progress for each phase."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show where a phase stands."""
        if what not in self._bars:
            self.close()
            self._bars[what] = Progress(what)
        self._bars[what](done, total)

    def close(self) -> None:
        """End the line."""
        for bar in self._bars.values():
            bar.close()
