"""What `balance probe` and `balance quality` print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from balancer.cli.console import result, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.realism.detectability import Probe
    from analysis.realism.fidelity_by_class import Quality

_SHOWN = 8


def show_probe(found: Probe) -> None:
    """The verdict and what to do, then what tells each class apart."""
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


def show_quality(found: Quality) -> None:
    """A sentence for each class, then all figures."""
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
