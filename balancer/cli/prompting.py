"""`balance prompts`: what will be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import Progress, message, printable, result
from balancer.cli.session import choose_templates, known_attributes, opened, save_report
from balancer.errors import BalanceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from balancer.attributes import JointDistribution
    from balancer.prompts import Prompt


def prompts(
    label: str = typer.Option(None, help="One class; by default all of the scanned collection."),
    count: int = typer.Option(10, "-n", min=1, help="How many for each class."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    seed: int = typer.Option(0, help="The seed that fill will use."),
    sample: bool = typer.Option(False, "--sample", help="Draw one small image for each prompt."),
    model: str = typer.Option(None, help="With --sample: model to draw with; by default what adapt made."),
) -> None:
    """Show the prompts that fill would use, or draw each once."""
    from balancer.prompts import make_prompt

    labels, known = _labels_and_known(label)
    templates = choose_templates(pack, labels)
    drawn = [known.draw(index, seed) for index in range(count)]
    shown = [
        (each, make_prompt(templates[each], each, index, seed, templates[each].words(drawn[index])))
        for each in labels
        for index in range(count)
    ]
    if sample:
        message(f"Drawn: {_draw_samples(shown, model)}")
    for each in labels:
        result(f"{printable(each)} ({templates[each].source})")
        for number, (_, prompt) in enumerate((pair for pair in shown if pair[0] == each), start=1):
            result(f"  {number:2}. {printable(prompt.text)}")
    for negative in dict.fromkeys(pack.negative for pack in templates.values()):
        result(f"negative: {negative}")


def _labels_and_known(label: str | None) -> tuple[list[str], JointDistribution]:
    """The classes to word, and what a table tells; a class that is named needs no scanned collection."""
    from balancer.attributes import JointDistribution

    try:
        with opened(write=False) as session:
            known = known_attributes(session, remember=False)
            return [label] if label else session.collection.labels, known
    except BalanceError:
        if label is None:
            raise
    return [label], JointDistribution()


def _draw_samples(shown: Sequence[tuple[str, Prompt]], model: str | None) -> Path:
    """Draw one quick image for each prompt onto a contact sheet, a row for each class."""
    from analysis.figures import contact_sheet
    from balancer.generators.drawing import draw_prompts

    with opened(write=False) as session:
        made_here = session.ledger.adapters(session.collection)
        progress = Progress("Drawing")
        drawn = draw_prompts([prompt for _, prompt in shown], model, made_here, progress)
        progress.close()
        labels = list(dict.fromkeys(label for label, _ in shown))
        rows = [
            (each, [image for (label, _), image in zip(shown, drawn, strict=True) if label == each]) for each in labels
        ]
        sheet = contact_sheet(rows, columns=max(len(images) for _, images in rows))
        return save_report(session, "prompts.png", sheet)
