"""What `balance prompts --check` says of the wordings, and what `balance fill` says before it draws."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from balancer.cli.console import message, result
from balancer.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from balancer.prompting.lint import Complaint
    from balancer.prompting.packs import TemplatePack
    from balancer.prompting.prompts import Prompt
    from balancer.workspace.workspace import Session


def check_prompts(
    templates: Mapping[str, TemplatePack], model: str | None, session: Session | None
) -> tuple[list[Complaint], str]:
    """All complaints, errors first, and by whose tokens the length was measured.

    Raises:
        ModelError: `model` is none that can be used.
    """
    from balancer.generators.plugins import find_family, names_family
    from balancer.prompting.lint import lint, lint_length

    made_here = session.ledger.adapters(session.collection) if session else []
    if model is None and not made_here:
        complaints = [*lint(templates), *lint_length(templates)]
        measured = "estimated: no model here yet, name one with --model"
    elif model is not None and names_family(model):
        find_family(model)
        complaints = [*lint(templates), *lint_length(templates)]
        measured = f"estimated: {printable(model)} is of another family, which reads them its own way"
    else:
        from balancer.generators.models.checkpoint import find_checkpoint
        from balancer.generators.stable_diffusion import token_counter
        from balancer.workspace.models import chosen_model

        checkpoint = chosen_model(session, model).checkpoint if session else find_checkpoint(model)
        count, limit = token_counter(checkpoint)
        complaints = [*lint(templates), *lint_length(templates, limit, count)]
        measured = f"counted by {printable(checkpoint.ref.name)}, which reads {limit}"
    return sorted(complaints, key=lambda each: each.severity), measured


def show_check(complaints: Sequence[Complaint], classes: int, measured: str) -> None:
    """Print what a check found, for people."""
    for each in complaints:
        result(f"{each.severity}: {_line(each)}")
    errors = sum(each.severity == "error" for each in complaints)
    result(f"{classes} classes: {errors} errors, {len(complaints) - errors} warnings. Tokens: {measured}.")


def check_as_json(complaints: Sequence[Complaint], classes: int, measured: str) -> dict[str, Any]:
    """What a check found, for programs."""
    errors = sum(each.severity == "error" for each in complaints)
    return {
        "classes": classes,
        "tokens": measured,
        "errors": errors,
        "warnings": len(complaints) - errors,
        "complaints": [asdict(each) for each in complaints],
    }


def require_sound_wording(
    templates: Mapping[str, TemplatePack], drawn: Iterable[str], prompts: Iterable[Prompt] = ()
) -> None:
    """Print the warnings about all classes, and refuse errors in what would be drawn.

    Raises:
        PromptError: a wording of the classes `drawn`, or a value in `prompts`, has an error.
    """
    from balancer.prompting.lint import lint, refuse_errors

    for each in lint(templates):
        if each.severity == "warning":
            message(f"Warning: {_line(each)}")
    refuse_errors(lint({label: templates[label] for label in drawn}, prompts=prompts))


def _line(complaint: Complaint) -> str:
    return printable(f"{complaint.where}: {complaint.kind}: {complaint.message} ({complaint.text}). {complaint.fix}")
