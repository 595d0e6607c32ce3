"""What `balance fill` shows: the plan, the prompts, the time, the progress and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import Progress, message, on_errand, result, shown, table
from balancer.cli.judging import show_unscreened
from balancer.cli.session import save_report
from balancer.text import duration, printable

if TYPE_CHECKING:
    from balancer.cli.commands.fill import Order, Work
    from balancer.dataset.merge import MergeReport
    from balancer.filling.run import FillProgress, FillReport
    from balancer.generators.protocol import ImageGenerator
    from balancer.planning import Plan

_SAMPLE_PROMPTS = 3
_MUCH_TOO_MANY = 3  # synthetic for each real image; gains of more are rare in what is published


def show_plan(counts: Mapping[str, int], plan: Plan, max_ratio: float) -> None:
    """What is there, wanted and to be made; what is capped, much, or left."""
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
    for label, missing in plan.capped.items():
        message(
            f"{printable(label)}: {plan.deficits[label]} instead of {missing}: "
            f"capped at {max_ratio:g} synthetic for each real image (--max-ratio {max_ratio:g})"
        )
    much = [label for label, count in counts.items() if plan.deficits[label] > _MUCH_TOO_MANY * count]
    if much:
        names = ", ".join(map(printable, much))
        message(
            f"More than {_MUCH_TOO_MANY} synthetic for each real image of {names}: "
            "published ratios that were best disagree, from 0.25 to 10, mostly moderate. In our pilot, "
            "mixing in 19 for each ruined the class. Consider fewer, --symmetric, or training on the synthetic images "
            "first and on the real ones after; and compare on patients who were held out."
        )
    left = {label: count + plan.deficits[label] for label, count in counts.items()}
    if any(plan.deficits.values()) and min(left.values()) > 0 and max(left.values()) > 1.2 * min(left.values()):
        message(
            f"An imbalance of {max(left.values()) / min(left.values()):.1f} remains: "
            "train with a class-balanced sampler."
        )


def show_excess(counts: Mapping[str, int], plan: Plan) -> None:
    """Which classes get more than they lack, since multiples count from what a class has."""
    largest = max(counts.values())
    more = [label for label, count in counts.items() if plan.deficits[label] and count + plan.deficits[label] > largest]
    for label in more:
        made, lacking = plan.deficits[label], largest - counts[label]
        message(
            f"{printable(label)} gets {made}, though it lacks {lacking} of the largest class: --times counts from what "
            "a class has. For the smallest class alone add --strategy minority; for what is lacking: --target max"
        )


def show_prompts(order: Order) -> None:
    """Some prompts of each class that gets images."""
    from balancer.prompting.prompts import make_prompt

    result()
    for label, count in order.plan.deficits.items():
        for index in range(min(count, _SAMPLE_PROMPTS)):
            pack, drawn = order.templates[label], order.attributes.draw(index, order.seed)
            text = make_prompt(pack, label, index, order.seed, pack.words(drawn)).text
            result(f"{printable(label)}: {printable(text)}")
    for negative in dict.fromkeys(pack.negative for pack in order.templates.values()):
        result(f"negative: {negative}")


def show_time(order: Order, work: Work) -> None:
    """How long it would take, measured on this machine."""
    from balancer.generators.preview import seconds_per_batch

    size = work.recipe.config.batch_size
    label = next(label for label, count in order.plan.deficits.items() if count)
    batches = sum(-(-count // size) for count in order.plan.deficits.values())
    steps = work.recipe.methods.mean_steps(work.recipe.config.steps)
    seconds = seconds_per_batch(work.make_generator(), [work.recipe.job(label, index) for index in range(size)], steps)
    result(
        f"Time: about {duration(batches * seconds)} for {order.wanted} images on {work.device} (from a warm-up batch)"
    )
    result("Dry run: nothing was written.")


def show_report(order: Order, counts: Mapping[str, int], report: FillReport, merged: MergeReport) -> None:
    """The classes before and after, what was rejected, and where to look."""
    if report.taken_up:
        message(f"Taken up: {report.taken_up} images that were whole on disk, though the ledger did not know them.")
    if report.judged_anew:
        message(f"Judged anew, without being made again: {report.judged_anew} images that another screen had judged.")
    show_classes(counts, merged)
    for label, reasons in report.rejected.items():
        for reason, count in reasons.items():
            message(f"Rejected: {printable(label)}: {count} {printable(reason)}")
    for label, count in report.review.items():
        how = "" if on_errand() else ": balance review --reader NAME"
        message(f"Waiting: {printable(label)}: {count} for a person to decide{how}")
    show_unscreened([each for judged in report.accepted.values() for each in judged])
    message(f"Contact sheet, real above synthetic: {shown(_draw_sheet(order, report))}")
    show_folder(merged)


def show_classes(counts: Mapping[str, int], merged: MergeReport) -> None:
    """How many images each class has after a merge; `counts` are the real ones."""
    from balancer.collection.imbalance import measure_imbalance

    after = {label: count + merged.synthetic[label] for label, count in counts.items()}
    rows = [[label, count, merged.synthetic[label], after[label]] for label, count in counts.items()]
    result()
    result(table(["class", "real", "synthetic", "training images"], rows))
    before_ratio, after_ratio = measure_imbalance(counts).ratio, measure_imbalance(after).ratio
    result(f"Imbalance ratio {before_ratio:.1f} before, {after_ratio:.1f} after")


def show_folder(merged: MergeReport) -> None:
    """Where the balanced folder is."""
    result(f"Balanced folder: {shown(merged.folder)}")
    result(f"Next: balance verify {shown(merged.folder)}")


def _draw_sheet(order: Order, report: FillReport) -> Path:
    from analysis.report.contact_sheets import real_above_synthetic

    collection, train = order.session.collection, order.session.split.paths("train", "holdout")
    labels = collection.images.loc[train, "label"]
    real = {label: [collection.root / path for path in labels.index[labels == label]] for label in collection.labels}
    synthetic = {label: [candidate.path for candidate, _ in judged] for label, judged in report.accepted.items()}
    return save_report(order.session, "contact-sheet.png", real_above_synthetic(real, synthetic))


class Generation:
    """Progress of a fill; without a GPU it also says that this takes long, and after the first batch how long."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._bar = Progress("Generating")
        self._announced = work.device.startswith("cuda")

    def make_generator(self) -> ImageGenerator:
        """Load the model; the time that this takes says nothing about the images."""
        if not self._announced:
            message(f"Drawing on {self._work.device}, not on a GPU: an estimate follows the first batch.")
        generator = self._work.make_generator()
        self._bar = Progress("Generating")
        return generator

    def progress(self) -> FillProgress:
        """What `fill` counts with."""
        from balancer.filling.run import FillProgress

        return FillProgress(notify=self._show)

    def _show(self, progress: FillProgress) -> None:
        others = progress.total - progress.done
        if not self._announced and others:
            each = self._work.recipe.methods.mean_steps(self._work.recipe.config.steps)
            left = duration(others * each / progress.steps * self._bar.seconds)
            message(f"The other {others} images will take about {left}")
        self._announced = True
        self._bar(progress.done, progress.total, progress.made)

    def close(self) -> None:
        """End the line."""
        self._bar.close()
