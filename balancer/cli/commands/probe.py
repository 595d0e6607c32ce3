"""`balance probe` and `balance quality`: what can be said of the synthetic images without a test set."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.commands.report import keep_result
from balancer.cli.console import ConsoleProgress, here, message, result, result_json, table
from balancer.errors import BalanceError
from balancer.text import printable
from balancer.workspace.models import models_at_hand

if TYPE_CHECKING:
    from analysis.realism.detectability import Probe
    from analysis.realism.fidelity_by_class import Quality

_SHOWN = 8


def probe(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the last fill)."),
    model: str = typer.Option(None, help="The model that made the images (default: what adapt made here)."),
    steps: int = typer.Option(300, min=1, help="Training steps of each quick classifier."),
    seeds: int = typer.Option(5, min=2, help="Number of classifiers, and of controls; use at least 5."),
    size: int = typer.Option(64, min=16, help="Image size in pixels for the classifiers."),
    permutations: int = typer.Option(399, min=199, help="Random permutations of the labels real and synthetic."),
    seed: int = typer.Option(0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Measure how well synthetic images can be distinguished from real ones, and whether a classifier relies on it.

    Example: balance probe xrays-balanced
    """
    from analysis.data.balanced_folder import read_merged
    from analysis.realism.detectability import probe as look
    from analysis.realism.matched_control import ProbeSettings
    from analysis.realism.text import report
    from analysis.vision.reconstruction import autoencoder_of
    from balancer.devices import choose_device

    place = here().balanced_folder(folder)
    merged = read_merged(place)
    settings = ProbeSettings(size, steps, seeds, permutations, seed=seed, device=choose_device(device))
    show = ConsoleProgress()
    through = partial(show.phase, "Through the autoencoder")
    autoencoder = autoencoder_of(merged.folder, _at_hand(), settings.device, through, model, message)
    found = look(merged, settings, autoencoder, show.phase)
    show.close()
    keep_result(place, "probe.json", report(found))
    if as_json:
        result_json(report(found))
        return
    _print_probe(found)


def quality(
    folder: Path = typer.Argument(None, help="The balanced folder (default: that of the last fill)."),
    weights: Path = typer.Option(
        None, help="ResNet-50 or DenseNet-121 as a .safetensors file, whose features are compared."
    ),
    k: int = typer.Option(5, min=1, help="Number of neighbours for precision and recall."),
    steps: int = typer.Option(
        600, min=1, help="Training steps of the embedding, without --weights (fewer for few images)."
    ),
    seed: int = typer.Option(0, help="Same seed, same result."),
    device: str = typer.Option("auto", help="cuda, mps or cpu."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Measure the distance between synthetic images and held-out real ones, and between real ones for comparison.

    Good values do not show that the images help: only balance compare can show that.

    Example: balance quality xrays-balanced
    """
    from analysis.data.balanced_folder import read_merged
    from analysis.realism.fidelity_by_class import features_for, measure_quality, report
    from balancer.devices import choose_device

    place = here().balanced_folder(folder)
    merged = read_merged(place)
    show = ConsoleProgress()
    space = features_for(merged, weights, steps=steps, seed=seed, device=choose_device(device), progress=show.phase)
    found = measure_quality(merged, space, k=k, seed=seed, progress=show.phase)
    show.close()
    keep_result(place, "quality.json", report(found))
    if as_json:
        result_json(report(found))
        return
    _print_quality(found)


def _at_hand() -> list[str]:
    """The models of the remembered collection, if there is one."""
    try:
        with here().session(write=False) as session:
            return models_at_hand(session)
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
        result(table(["distinguished by", "AUROC [95% for all]", "p", "alarm"], rows))
    result()
    for note in found.left_out:
        result(f"Left out: {printable(note)}" if "unknown" not in note else f"Note: {printable(note)}")
    result(
        f"Compared at {found.settings.side} px, out of fold by patient. p is for all detectors and classes, from "
        f"{found.settings.permutations} permutations of real and synthetic. AUROC 0.5 is chance level, 1 is perfect."
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
    result(table(["class and metric", "real to synthetic [95%]", "real to real", "a side"], rows))
    result(f"Measured in {printable(found.space)}. KID is 0 where nothing differs; FID is biased upwards by few images")
    result("(compare it only with real to real). Precision: images look real. Recall: real images are covered.")
    for note in found.notes:
        result(f"Note: {printable(note)}")
    if not found.patients_known:
        result(
            "Note: patients are unknown. Both halves of the real images may contain the same patients, and look closer."
        )
