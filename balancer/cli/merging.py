"""`balance merge`: the balanced folder again, from what is accepted by now; and images that were made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from balancer.cli.console import Progress, message, printable
from balancer.cli.filled import show_classes, show_folder
from balancer.cli.judging import Word, facts_of
from balancer.cli.session import Session, opened, without_holdout
from balancer.errors import PlanError

if TYPE_CHECKING:
    from balancer.candidates import Judged, Known
    from balancer.merge import MergeReport
    from balancer.remembered import LastFill


def merge(
    candidates: Path = typer.Option(None, "--from", help="Folder with a folder of synthetic images for each class."),
    out: Path = typer.Option(None, help="The balanced folder (default: where the last fill put it)."),
    no_screen: bool = typer.Option(
        False, "--no-screen", help="With --from: judge nothing but that images can be read; the card says so."
    ),
    accept_unscreened: bool = typer.Option(
        False,
        "--accept-unscreened",
        help="With --from, where patients are unknown: take images that could not be screened for copies.",
    ),
) -> None:
    """Merge again what is accepted by now, with images of another generator if you name their folder.

    The images of the last fill that are still accepted and all accepted images from elsewhere, whichever folder they
    came from, lie beside the originals then. Nothing is generated.

    Example: balance merge --from their-images/
    """
    from balancer.cli.external import show_outcomes, take_in
    from balancer.merge import check_out, default_out
    from balancer.remembered import LastFill, known_of
    from balancer.split import training_counts

    word = Word(no_screen, accept_unscreened)
    if candidates is None and word != Word():
        hint = "--no-screen" if no_screen else "--accept-unscreened"
        raise typer.BadParameter("it needs --from: without it nothing is judged at all", param_hint=hint)
    with opened(write=True) as session:
        last = LastFill.load(session.ledger, session.collection)
        flat = last is not None and last.flat and not session.collection.has_parts
        session = without_holdout(session) if flat else session
        usual = default_out(session.collection.root)
        place = out or (usual if last is None else session.state.folder.parent / last.place)
        check_out(place, session.collection.root, session.state.folder)
        if candidates is not None:
            show_outcomes(session, take_in(session, candidates, place, word))
        known = known_of(session.ledger, session.collection)
        if candidates is None and last is None and not _from_elsewhere(known):
            raise PlanError(
                needed="something to merge",
                found="no fill yet, and no images from elsewhere",
                next_step="balance fill --target 500, or: balance merge --from FOLDER",
            )
        merged = merge_again(session, last, place, known)
        show_classes(training_counts(session.collection, session.split), merged)
        _show_short(last, known)
        _show_left_out(session, known)
        if not merged.rebuilt:
            message("Nothing changed: the folder was already as it should be.")
        show_folder(merged)


def merge_again(
    session: Session, last: LastFill | None, place: Path, known: Mapping[str, Known] | None = None
) -> MergeReport:
    """Merge the last fill's images and those made elsewhere, as far as they are accepted in `known`, by default now."""
    from balancer.merge import merge as build
    from balancer.remembered import known_of

    known = known_of(session.ledger, session.collection) if known is None else known
    of_fill = [] if last is None else [each for judged in last.accepted(known).values() for each in judged]
    judged = [*of_fill, *(each for some in _elsewhere(session, known).values() for each in some)]
    facts = facts_of(session, last.run if last else {}, last.stamps if last else (), judged)
    copying = Progress("Merging")
    merged = build(session.collection, session.split, judged, place, facts=facts, progress=copying)
    copying.close()
    return merged


def show_elsewhere(session: Session) -> dict[str, int]:
    """Say how many accepted images from elsewhere are merged beside a fill's, by class; these numbers."""
    from balancer.remembered import known_of

    known = known_of(session.ledger, session.collection)
    counts = count_elsewhere(session, known)
    for label, count in counts.items():
        message(f"{printable(label)} also gets {count} accepted from elsewhere, beyond the target.")
    _show_left_out(session, known)
    return counts


def count_elsewhere(session: Session, known: Mapping[str, Known] | None = None) -> dict[str, int]:
    """How many accepted images from elsewhere are merged beside a fill's, by class."""
    from balancer.remembered import known_of

    found = _elsewhere(session, known_of(session.ledger, session.collection) if known is None else known)
    return {label: len(judged) for label, judged in found.items() if judged}


def _from_elsewhere(known: Mapping[str, Known]) -> list[Judged]:
    """All images from elsewhere that are on record, whatever was decided."""
    return [each for some in known.values() for each in some.judged.values() if each[0].job is None]


def _show_left_out(session: Session, known: Mapping[str, Known]) -> None:
    """Which images from elsewhere are not merged though nobody rejected them."""
    from balancer.candidates import is_usable

    judged = _from_elsewhere(known)
    undecided = sum(verdict.decision != "reject" and not is_usable(verdict) for _, verdict in judged)
    if undecided:
        message(f"Left out: {undecided} from elsewhere that nobody has decided about: balance review, or merge --from")
    outdated = sum(is_usable(verdict) for _, verdict in judged) - sum(count_elsewhere(session, known).values())
    if outdated:
        message(f"Left out: {outdated} from elsewhere, in a file format that the collection no longer has.")
        message("          To bring them into the new one: balance merge --from FOLDER")


def _show_short(last: LastFill | None, known: Mapping[str, Known]) -> None:
    """Which classes have lost images since the last fill."""
    found = {} if last is None else last.accepted(known)
    for label, judged in found.items():
        wanted = 0 if last is None else last.deficits[label]
        if len(judged) < wanted:
            missing = f"{wanted - len(judged)} of {wanted}"
            message(f"Short: {printable(label)} lacks {missing} that fill was to make: the same fill again makes more.")


def _elsewhere(session: Session, known: Mapping[str, Known]) -> dict[str, list[Judged]]:
    from balancer.fill import settle_look
    from balancer.intake import form_of
    from balancer.remembered import made_elsewhere

    if not any(each.made_elsewhere() for each in known.values()):
        return {}
    look = settle_look(session.collection, session.split, session.ledger, remember=False)
    return made_elsewhere(known, form_of(look))
