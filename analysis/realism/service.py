"""Can synthetic images be told from real ones, and how near are they: two functions of a balanced folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import BalanceError
from balancer.progress import SILENT, Phases, Progress
from balancer.workspace.judging_settings import DetectabilitySettings, FidelitySettings
from balancer.workspace.models import models_at_hand
from balancer.workspace.reports import PROBE, QUALITY, keep_measured

if TYPE_CHECKING:
    from analysis.realism.detectability import Probe
    from analysis.realism.fidelity_by_class import Quality
    from balancer.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class DetectabilityResult:
    """By what real and synthetic images of each class are told apart, and whether a classifier relies on it."""

    folder: Path
    probe: Probe

    def to_json(self) -> dict[str, Any]:
        """The fields for `--json`."""
        from analysis.realism.text import report

        return report(self.probe)


@dataclass(frozen=True, slots=True)
class FidelityResult:
    """KID, FID, precision and recall of each class, beside the same between halves of the real images."""

    folder: Path
    quality: Quality

    def to_json(self) -> dict[str, Any]:
        """The fields for `--json`."""
        from analysis.realism.fidelity_by_class import report

        return report(self.quality)


def detectability(
    workspace: Workspace,
    settings: DetectabilitySettings = DetectabilitySettings(),
    *,
    progress: Progress = SILENT,
) -> DetectabilityResult:
    """Say how well real can be told from synthetic inside a class, by what, and whether a classifier relies on it.

    Areas under the ROC curve are out of fold by patient, 0.5 is chance; p-values count all detectors and classes. Of a
    class with fewer than 10 patients a side nothing is said. The result is kept for the report.

    Raises:
        OutputError: there is no balanced folder, or its tables were changed.
        ImageError: an image cannot be decoded.
        ModelError: there is no such model or device.

    >>> settings = DetectabilitySettings(make_balanced(folder), steps=1, seeds=2, size=16, permutations=199)
    >>> detectability(Workspace.open(folder), settings).probe.classes[0].unknown[:10]
    'not known:'
    """
    from analysis.data.balanced_folder import read_training_images
    from analysis.realism.detectability import probe
    from analysis.realism.matched_control import ProbeSettings
    from analysis.vision.reconstruction import autoencoder_of
    from balancer.devices import choose_device

    folder = workspace.balanced_folder(settings.folder)
    merged, phases = read_training_images(folder), Phases(progress)
    how = ProbeSettings(
        settings.size,
        settings.steps,
        settings.seeds,
        settings.permutations,
        seed=settings.seed,
        device=choose_device(settings.device),
    )
    through = partial(phases, "Through the autoencoder")
    models = _at_hand(workspace)
    autoencoder = autoencoder_of(merged.folder, models, how.device, through, settings.model, progress.message)
    found = DetectabilityResult(folder, probe(merged, how, autoencoder, phases))
    keep_measured(workspace, PROBE, found.to_json(), folder, progress)
    return found


def fidelity(
    workspace: Workspace, settings: FidelitySettings = FidelitySettings(), *, progress: Progress = SILENT
) -> FidelityResult:
    """Measure how near synthetic images are to held-out real ones, beside how near real ones are to each other.

    Distances are in the features of a network. Precision and recall are shares; KID is 0 where nothing differs. A
    class with too few images has none. The result is kept for the report.

    Raises:
        OutputError: there is no balanced folder, or its tables were changed.
        ImageError: an image cannot be decoded.
        ModelError: the weights or the device cannot be used.

    >>> settings = FidelitySettings(make_balanced(folder), steps=1)
    >>> fidelity(Workspace.open(folder), settings).quality.classes
    {'nodule': None}
    """
    from analysis.data.balanced_folder import read_training_images
    from analysis.realism.fidelity_by_class import features_for, measure_quality
    from balancer.devices import choose_device

    folder = workspace.balanced_folder(settings.folder)
    merged, phases = read_training_images(folder), Phases(progress)
    device = choose_device(settings.device)
    space = features_for(
        merged, settings.weights, steps=settings.steps, seed=settings.seed, device=device, progress=phases
    )
    found = FidelityResult(folder, measure_quality(merged, space, k=settings.k, seed=settings.seed, progress=phases))
    keep_measured(workspace, QUALITY, found.to_json(), folder, progress)
    return found


def _at_hand(workspace: Workspace) -> list[str]:
    """The models of the remembered collection, if there is one."""
    try:
        with workspace.session(write=False, several=True) as session:
            return models_at_hand(session)
    except BalanceError:
        return []
