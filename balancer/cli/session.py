"""What the later commands begin with: the remembered collection, its split, and the ledger that holds both."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import ConsoleProgress, here, message
from balancer.workspace.workspace import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    from balancer.collection.attributes import JointDistribution
    from balancer.prompting.packs import Packs


@contextmanager
def opened(*, write: bool) -> Iterator[Session]:
    """The session of the workspace in which the user is."""
    with here().session(write=write) as session:
        yield session


def without_holdout(session: Session) -> Session:
    """The same with all of a flat collection as training data."""
    return session.without_holdout()


def balanced_folder(session: Session) -> Path | None:
    """Where the last fill put its balanced folder, else the usual place; `None` where there is none."""
    return session.balanced_folder()


def save_report(session: Session, name: str, picture: Image) -> Path:
    """Put a picture for people into the state folder, whole or not at all."""
    from balancer.files import write_whole
    from balancer.store.state_dir import locked

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    with locked(session.state):
        session.state.reports.mkdir(exist_ok=True)
        write_whole(session.state.reports / name, buffer.getvalue())
    return session.state.reports / name


def choose_templates(pack: str | None, labels: Sequence[str], *, quiet: bool = False) -> Packs:
    """The template pack of each class; says, unless `quiet`, which classes no pack knows."""
    from balancer.progress import SILENT
    from balancer.prompting.choice import choose_packs

    return choose_packs(pack, labels, SILENT if quiet else ConsoleProgress())


def known_attributes(session: Session, *, remember: bool) -> JointDistribution:
    """How sex, age group and view are distributed in the training part; says when prompts change because of it."""
    from balancer.filling.run import settle_attributes

    found, changed = settle_attributes(session.collection, session.split, session.ledger, remember=remember)
    if changed:
        message("The table of patients is another than at the last fill: prompts follow it, so images are made anew.")
    return found
