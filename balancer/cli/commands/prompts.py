"""`balance prompts`: what will be asked for."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import Progress, message, result, result_json
from balancer.cli.console import shown as shown_path
from balancer.cli.session import choose_templates, known_attributes, opened, save_report
from balancer.errors import BalanceError
from balancer.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from balancer.collection.attributes import JointDistribution
    from balancer.prompting.packs import TemplatePack
    from balancer.prompting.prompts import Prompt


def prompts(
    label: str = typer.Option(None, help="One class; by default all of the scanned collection."),
    count: int = typer.Option(10, "-n", min=1, help="How many for each class."),
    pack: str = typer.Option(None, help="Template pack: chest, bone, or your own YAML file."),
    seed: int = typer.Option(0, help="The seed that fill will use."),
    sample: bool = typer.Option(False, "--sample", help="Draw one small image for each prompt."),
    model: str = typer.Option(
        None, help="With --sample or --check: model to draw with or count tokens by; by default what adapt made."
    ),
    check: bool = typer.Option(False, "--check", help="Look for faults in the wording; exit 1 for an error."),
    new: Path = typer.Option(None, help="Write a pack of your own for the scanned classes, to be edited."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Show the prompts that fill would use, draw each once, check the wording, or begin a pack of your own.

    Example: balance prompts --pack mine.yaml --check
    """
    from balancer.prompting.prompts import make_prompt

    if new:
        _write_new(new, pack)
        return
    labels, known = _labels_and_known(label)
    templates = choose_templates(pack, labels)
    if check:
        _check(templates, model, alone=bool(label), as_json=as_json)
        return
    drawn = [known.draw(index, seed) for index in range(count)]
    shown = [
        (each, make_prompt(templates[each], each, index, seed, templates[each].words(drawn[index])))
        for each in labels
        for index in range(count)
    ]
    if sample:
        message(f"Drawn: {shown_path(_draw_samples(shown, model))}")
    if as_json:
        result_json({each: [asdict(prompt) for name, prompt in shown if name == each] for each in labels})
        return
    for each in labels:
        result(f"{printable(each)} ({templates[each].source})")
        for number, (_, prompt) in enumerate((pair for pair in shown if pair[0] == each), start=1):
            result(f"  {number:2}. {printable(prompt.text)}")
    for negative in dict.fromkeys(pack.negative for pack in templates.values()):
        result(f"negative: {negative}")


def _check(templates: Mapping[str, TemplatePack], model: str | None, *, alone: bool, as_json: bool) -> None:
    """Print what is wrong with the wording; a class named with --label needs no scanned collection."""
    from balancer.cli.views.prompts import check_as_json, check_prompts, show_check

    with nullcontext() if alone else opened(write=False) as session:
        complaints, measured = check_prompts(templates, model, session)
    if as_json:
        result_json(check_as_json(complaints, len(templates), measured))
    else:
        show_check(complaints, len(templates), measured)
    if any(each.severity == "error" for each in complaints):
        raise typer.Exit(1)


def _write_new(path: Path, pack: str | None) -> None:
    from balancer.prompting.pack_skeleton import write_new_pack

    with opened(write=False) as session:
        collection = session.collection
    templates = choose_templates(pack, collection.labels, quiet=True)
    write_new_pack(path, templates, collection.root)
    gaps = [label for label, each in templates.items() if each.find(label) is None]
    result(f"Written: {shown_path(path)}, {len(templates) - len(gaps)} of {len(templates)} classes worded")
    if gaps:
        result(f"To be filled in there: {', '.join(map(printable, gaps))}")
    result(f"Next: edit it, then balance prompts --check --pack {shlex.quote(shown_path(path))}")


def _labels_and_known(label: str | None) -> tuple[list[str], JointDistribution]:
    """The classes to word, and what a table tells; a class that is named needs no scanned collection."""
    from balancer.collection.attributes import JointDistribution

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
    from analysis.report.contact_sheets import contact_sheet
    from balancer.generators.preview import draw_prompts
    from balancer.workspace.models import chosen_maker

    with opened(write=True) as session:
        progress = Progress("Drawing")
        drawn = draw_prompts(shown, chosen_maker(session, model), progress)
        progress.close()
        labels = list(dict.fromkeys(label for label, _ in shown))
        rows = [
            (each, [image for (label, _), image in zip(shown, drawn, strict=True) if label == each]) for each in labels
        ]
        sheet = contact_sheet(rows, columns=max(len(images) for _, images in rows))
        return save_report(session, "prompts.png", sheet)
