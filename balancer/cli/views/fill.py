"""What `balance fill` prints: the plan, what a dry run found, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message, result, shown, table
from balancer.cli.views.findings import show_findings_made, show_findings_plan
from balancer.cli.views.merge import show_classes, show_folder
from balancer.cli.views.screen import reason_in_words, show_unscreened
from balancer.text import duration, many, printable

if TYPE_CHECKING:
    from balancer.filling.run import FillReport
    from balancer.filling.verdicts import ScreeningSummary
    from balancer.planning import Plan
    from balancer.workspace.fill_figures import FillFigures
    from balancer.workspace.fill_run import FillPreview, FillResult
    from balancer.workspace.fill_time import FillTime
    from balancer.workspace.plan_run import PlanResult
    from balancer.workspace.settings import PlanSettings
    from balancer.workspace.shard_run import ShardResult

_MOST_SHOWN = 30  # classes or label sets whose prompts a dry run shows
_MUCH_TOO_MANY = 3  # synthetic for each real image; gains of more are rare in what is published
_ADVICE = {
    "sound": "check what the model generates (balance prompts --sample), train it longer, or use another --model",
    "label": "the model does not generate this class: train it on more images of the class, or raise --guidance",
    "copy": "the model repeats its training images: train it for fewer steps or on more images, or use another --model",
    "new": "the model repeats itself: lower --guidance, ask for fewer images, or use another --model",
    "copy review": "a person must decide about those in review; until then a higher --retries generates others",
}
_OF_A_PLUGIN = "a plug-in rejected them: correct what the model generates, or the plug-in (balance doctor lists them)"


def show_plan(found: PlanResult, settings: PlanSettings) -> None:
    """What is there, wanted and to be made; what is capped, much, or left."""
    if found.findings is not None:
        show_findings_plan(found.findings)
        _show_capped(found.findings.plan, settings, found.findings.sets.unreachable)
        return
    counts, plan = found.counts, found.plan
    rows = [
        [
            label,
            count,
            plan.target_counts[label],
            plan.deficits[label],
            f"{plan.deficits[label] / count:.1f}x" if count else "-",
        ]
        for label, count in counts.items()
    ]
    result(table(["class", "training images", "target", "to make", "of real"], rows))
    _show_capped(plan, settings)
    _show_many(counts, plan)
    left = {label: count + plan.deficits[label] for label, count in counts.items()}
    if found.wanted and min(left.values()) > 0 and max(left.values()) > 1.2 * min(left.values()):
        message(
            f"An imbalance of {max(left.values()) / min(left.values()):.1f} remains: "
            "train with a class-balanced sampler."
        )
    if settings.times:
        _show_excess(counts, plan)


def _show_capped(plan: Plan, settings: PlanSettings, said: Collection[str] = ()) -> None:
    for label, missing in ((label, missing) for label, missing in plan.capped.items() if label not in said):
        message(
            f"{printable(label)}: {plan.deficits[label]} instead of {missing}: capped at {settings.max_ratio:g} "
            f"synthetic for each real image (--max-ratio {settings.max_ratio:g})"
        )


def show_preview(found: FillPreview) -> None:
    """Some prompts of each class that gets images, and how long it would take."""
    result()
    shown_first = list(found.prompts.items())[:_MOST_SHOWN]
    for label, texts in shown_first:
        for text in texts:
            result(f"{printable(label)}: {printable(text)}")
    if len(found.prompts) > len(shown_first):
        result(f"and prompts of {len(found.prompts) - len(shown_first)} more")
    for negative in found.negatives:
        result(f"negative: {negative}")
    if found.time is None:
        from balancer.generators.models.checkpoint import WAYS

        result(f"Time: not measured, because there is no model yet:\n      {WAYS}")
        return
    for line in time_in_words(found.time, f"{found.planned.wanted} images on {found.device}"):
        result(line)
    result("Dry run: nothing was written.")


def time_in_words(found: FillTime, images: str) -> list[str]:
    r"""How long a fill takes; with Ray also what its start takes, and how many workers this process can serve.

    >>> from balancer.workspace.fill_time import FillTime
    >>> found = time_in_words(FillTime(100, 16.0, 1600, workers=8, start=15.0, limit=40.0), "1600 images on cuda")
    >>> print("\n".join(found).replace(". ", ".\n"))
    Time: about 4 min for 1600 images on cuda, 8 workers (each as fast as this machine in a warm-up batch)
    Starting takes about 15 s of it.
    This process finishes at most 40 images a second, the screen not included: what 40 workers generate.
    >>> time_in_words(FillTime(2, 30.0, 30), "30 images on cpu")
    ['Time: about 60 s for 30 images on cpu (from a warm-up batch)']
    """
    if found.limit is None:
        return [f"Time: about {duration(found.seconds)} for {images} (from a warm-up batch)"]
    alike = "each as fast as this machine in a warm-up batch"
    screen = "as in the last fill" if found.screened else "the screen not included"
    served = f": what {many(found.most_workers, 'worker')} generate{'s' if found.most_workers == 1 else ''}"
    lines = [
        f"Time: about {duration(found.seconds)} for {images}, {many(found.workers, 'worker')} ({alike})",
        f"Starting takes about {duration(found.start)} of it. This process finishes at most {found.limit:.3g} images a "
        f"second, {screen}{served}.",
    ]
    if found.workers > found.most_workers:
        lines.append(f"More workers gain nothing: --workers {found.most_workers}")
    return [*lines, *found.notes]


def show_shard(found: ShardResult) -> None:
    """Where a shard is, and what comes when all are there."""
    result(f"Shard {found.shard}: {found.images} images ({found.made} generated now) in {shown(found.folder)}")
    message("When every shard is whole, take them over with the same options and --collect DIR in place of --shard.")


def show_fill(found: FillResult, sheet: Path) -> None:
    """The classes before and after, what was rejected, and where to look."""
    report, merged = found.report, found.merged
    if report is None or merged is None:
        return
    if report.taken_up:
        message(f"Reused: {report.taken_up} complete images on disk that the ledger did not list.")
    if report.judged_anew:
        message(
            f"Screened again, but not generated again: {report.judged_anew} images that another screen had checked."
        )
    if found.planned.findings is None:
        show_classes(found.planned.counts, merged)
    else:
        show_findings_made(found.planned.findings.counts, merged)
    for label, reasons in report.rejected.items():
        for reason, count in reasons.items():
            message(f"Rejected: {printable(label)}: {count} {printable(reason_in_words(reason))}")
    for label, count in report.review.items():
        message(f"Waiting: {printable(label)}: {count} for a person to decide: balance review --reader NAME")
    show_unscreened([each for judged in report.accepted.values() for each in judged])
    message(f"Contact sheet, real above synthetic: {shown(sheet)}")
    if found.figures is not None:
        result(figures_in_words(found.figures))
    show_folder(merged)
    _show_screening(found.screening)
    _show_short(report)


def figures_in_words(found: FillFigures) -> str:
    """A line on a fill: how long, how fast, and how many were rejected by which check.

    >>> from balancer.workspace.fill_figures import FillFigures
    >>> figures_in_words(FillFigures(7300, 7000, "cpu", 20, 25, 5, 1, {"copy": 2}))
    'Generated 20 images in 2 h 2 min (0.00286 a second while generating); rejected 5 of 25 (20%): 2 copy; 1 in review'
    """
    rate = "" if found.images_a_second is None else f" ({found.images_a_second:.3g} a second while generating)"
    why = ", ".join(f"{count} {reason_in_words(check)}" for check, count in found.checks.items())
    share = f" ({found.share_rejected:.0%}){': ' + why if why else ''}" if found.rejected else ""
    waiting = f"; {found.review} in review" if found.review else ""
    made = f"Generated {many(found.made, 'image')} in {duration(found.seconds)}{rate}"
    return f"{made}; rejected {found.rejected} of {found.judged}{share}{waiting}"


def _show_many(counts: Mapping[str, int], plan: Plan) -> None:
    much = [label for label, count in counts.items() if plan.deficits[label] > _MUCH_TOO_MANY * count]
    if much:
        names = ", ".join(map(printable, much))
        message(
            f"More than {_MUCH_TOO_MANY} synthetic for each real image of {names}: "
            "in published studies the best ratio was between 0.25 and 10. In our pilot, "
            "19 for each ruined the class. Consider fewer, --symmetric, or training on the synthetic images "
            "first and then on the real ones. Compare on held-out patients."
        )


def _show_excess(counts: Mapping[str, int], plan: Plan) -> None:
    """Which classes get more than they lack, since multiples count from what a class has."""
    largest = max(counts.values())
    more = [label for label, count in counts.items() if plan.deficits[label] and count + plan.deficits[label] > largest]
    for label in more:
        made, lacking = plan.deficits[label], largest - counts[label]
        message(
            f"{printable(label)} gets {made}, although {lacking} reach the largest class: --times multiplies what "
            "a class has. For the smallest class only, add --strategy minority; to fill up: --target max"
        )


def _show_screening(found: ScreeningSummary) -> None:
    """What the screen says of all images together: diversity, a generator that copies, what could not be screened."""
    for label, (before, after) in found.diversity.items():
        message(f"Diversity of {printable(label)}: {before:.3f} before the label check, {after:.3f} after")
    if found.warning:
        message(f"Warning: {found.warning}.")
    if found.unscreened:
        message(f"Not screened for copies of patients: {printable(found.unscreened)}.")


def _show_short(report: FillReport) -> None:
    """Which classes stay short, which check stopped them most, and what to do."""
    for label, missing in report.short.items():
        check, count = _stopped_by(report, label)
        advice = _ADVICE.get(check, _OF_A_PLUGIN)
        name = reason_in_words(check)
        message(f"Short: {printable(label)} lacks {missing}. Stopped most by the {name} check ({count}): {advice}.")


def _stopped_by(report: FillReport, label: str) -> tuple[str, int]:
    """The check that kept most images back, and how many: an image counts once for each check."""
    counts: Counter[str] = Counter({"copy review": report.review.get(label, 0)})
    for _, verdict in report.judged.get(label, ()):
        if verdict.decision == "reject":
            counts.update({reason.partition(":")[0] for reason in verdict.reasons})
    return counts.most_common(1)[0]
