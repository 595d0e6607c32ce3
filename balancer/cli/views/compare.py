"""What `balance compare` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.comparison.inference.by_finding import ByFinding
    from analysis.comparison.inference.result import Comparison
    from analysis.comparison.inference.selection import Selection
    from analysis.comparison.inference.subgroups import Strata
    from analysis.comparison.inference.verdict_rule import ArmRoles
    from analysis.comparison.service import FiguresResult


def show_validation(choice: Selection, primary: str) -> None:
    """The arms by the primary endpoint on validation, the best first; the test split stays closed."""
    from analysis.statistics.metric_labels import metric_in_words

    rows = sorted(choice.validation.items(), key=lambda row: -row[1])
    chosen = (choice.baseline, choice.synthetic)
    header = ["arm", f"{metric_in_words(primary)} on validation"]
    result(table(header, [[f"{name}{'*' if name in chosen else ''}", f"{value:.3f}"] for name, value in rows]))
    result("* the arms of the verdict.")
    result(printable(choice.sentence))
    result("The test split was not opened. To open it: the same command without --validation-only")


def show_comparison(found: Comparison, place: Path | None) -> None:
    """The verdict first, its points and stamps, then every arm."""
    from analysis.comparison.inference.result import table as rows
    from analysis.comparison.inference.verdict_rule import ArmRoles
    from analysis.statistics.metric_labels import metric_in_words

    result(printable(found.sentence))
    for point in found.points:
        result(printable(f"- {point}"))
    if found.facts.exchange:
        result(printable(f"- {found.facts.exchange['sentence']}"))
    if found.facts.stamps:
        result("Stamps:")
    for stamp in found.facts.stamps:
        result(printable(f"- {stamp}"))
    result()
    rare = found.primary.partition(":")[2]
    header = ["arm", *map(metric_in_words, (found.primary, found.secondary)), f"recall {rare}"]
    header.insert(2, "difference")
    result(table(header, rows(found)))
    result()
    result("* the arms of the verdict; differences are to its baseline; 95% intervals over patients and seeds.")
    if found.unfinished:
        result("+ still improving when its training ended.")
    named = ArmRoles(found.chosen.baseline, found.chosen.synthetic)
    _show_findings(found.findings, named)
    _show_subgroups(found.strata, named, found.primary)
    if found.external is not None:
        _show_external(found)
    if place is not None:
        message(f"All figures: {shown(place)}. To view them: balance report")


def _show_external(found: Comparison) -> None:
    """The arms on another collection, which changes nothing above."""
    from analysis.comparison.inference.external_result import external_table
    from analysis.statistics.metric_labels import metric_in_words

    assert found.external is not None
    rare = found.primary.partition(":")[2]
    result()
    result(printable(f"External collection: {found.external.sentence}"))
    for reason, count in found.external.left_out.items():
        result(printable(f"- left out: {count} {reason}"))
    result(
        table(
            ["arm", metric_in_words(found.primary), f"AUROC {rare}", f"recall {rare}"],
            external_table(found.external, found.primary),
        )
    )
    result("The verdict does not depend on it.")


def show_figures(found: FiguresResult) -> None:
    """Every arm with its figures, and that this was a look at the test split."""
    from analysis.statistics.metric_labels import metric_in_words

    whole = "macro_auprc" if found.findings else "macro_f1"
    names = (f"auprc:{found.rare}", f"auroc:{found.rare}", whole, f"recall:{found.rare}")
    rows = [[arm, *(str(figures[name]) for name in names)] for arm, figures in found.arms.items()]
    result(table(["arm", *map(metric_in_words, names)], rows))
    result("95% intervals over patients and seeds. The verdict is that of balance compare; all figures: --json.")
    _show_findings(found.findings, found.named)
    _show_subgroups(found.strata, found.named, found.primary)
    result(f"The test split was opened {found.openings} times: this is one of them.")


def _show_findings(findings: ByFinding, named: ArmRoles) -> None:
    """Both arms of the verdict by finding, where images have several."""
    from analysis.comparison.inference.by_finding import finding_rows, findings_note

    if not findings:
        return
    header = ["finding", "test patients", named.baseline, named.synthetic or "-", "difference", "p (Holm)", ""]
    result()
    result("AUPRC of each finding:")
    result(table(header, finding_rows(findings)))
    result(printable(findings_note(findings)))


def _show_subgroups(strata: Strata, named: ArmRoles, primary: str) -> None:
    """Both arms of the verdict by sex, age group, view and site, where these are known."""
    from analysis.comparison.inference.subgroups import stratum_rows, subgroup_note
    from analysis.statistics.metric_labels import metric_in_words

    if not strata:
        return
    header = ["subgroup", "images", named.baseline, named.synthetic or "-", "difference", "p (Holm)"]
    result()
    result(f"{metric_in_words(primary)} by subgroup:")
    result(table(header, stratum_rows(strata, named, primary)))
    result(subgroup_note(strata))
