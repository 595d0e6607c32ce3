"""The figures of all answers, as `balance review --results` prints them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from balancer.cli.console import result, table
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.review.summary import ReviewResults


def show_results(found: ReviewResults) -> None:
    """Print the figures of blinded studies and of verdicts."""
    from analysis.review.summary import kappa_in_words, meaning, percent

    for study in found.studies:
        result(f"Real or synthetic? ({printable(study.name)})")
        rows = [
            [each.reader, each.all.total, percent(each.all), percent(each.real), percent(each.synthetic)]
            for each in study.readers
        ]
        result(table(["reader", "images", "right (95% interval)", "of the real", "of the synthetic"], rows))
        for each in study.readers:
            result(f"{printable(each.reader)}: {meaning(each)}")
        for pair in study.agreements:
            result(printable(kappa_in_words(pair)))
        result()
    if found.verdicts:
        header = ["reader", "accepted", "rejected", "unsure", "realistic", "shows its label"]
        keys = ("accept", "reject", "review")
        rows = [
            [name, *(each[key] for key in keys), *map(_of_asked, _answers(each))]
            for name, each in found.verdicts.items()
        ]
        result("Verdicts that count")
        result(table(header, rows))


def _answers(tally: Mapping[str, int]) -> Sequence[tuple[int, int]]:
    from analysis.review.decision_session import QUESTIONS

    return [(tally[f"{question}_yes"], tally[f"{question}_no"]) for question in QUESTIONS]


def _of_asked(answers: tuple[int, int]) -> str:
    return f"{answers[0]} of {sum(answers)}" if sum(answers) else "-"
