"""Which model the commands draw with, and where the bases of adapters are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.cli.console import message
from balancer.cli.session import exposure_of
from balancer.errors import BalanceError, ModelError
from balancer.store.settings import BASE
from balancer.text import printable

if TYPE_CHECKING:
    from analysis.vision.reconstruction import Autoencoder
    from balancer.cli.session import Session
    from balancer.generators.models.checkpoint import Checkpoint
    from balancer.generators.models.selection import Choice
    from balancer.generators.plugins import Family
    from balancer.jobs import GenerationConfig

UNKNOWN = "generator exposure unknown: what the model was trained on is not on record here"


def chosen_model(session: Session, model: str | None, adapter: Path | None = None) -> Choice:
    """The model and adapter that the user named, by default the newest that `adapt` made for this collection.

    Raises:
        ModelError: there is none, or they do not fit each other.
    """
    from balancer.generators.models.selection import choose_model

    made_here = session.ledger.adapters(session.collection)
    named = adapter and _in_the_state_folder(session, adapter)
    return choose_model(model, named, made_here, lambda folder: base_of(session, folder))


def chosen_maker(session: Session, model: str | None, adapter: Path | None = None) -> Choice | Family:
    """What draws, of whatever family: `--model FAMILY:WEIGHTS` is opened, anything else is `chosen_model`'s.

    Raises:
        ModelError: there is none, or it does not fit the adapter.
    """
    from balancer.devices import choose_device
    from balancer.generators.plugins import names_family, open_family

    if model is None or not names_family(model):
        return chosen_model(session, model, adapter)
    refuse_adapter(model, adapter)
    return open_family(model, choose_device("auto"), session.collection.root)


def refuse_adapter(model: str, adapter: Path | None) -> None:
    """Raise a ModelError where an adapter is to be put on a model of another family."""
    if adapter is not None:
        raise ModelError(
            needed="a Stable Diffusion model, for --adapter",
            found=f"--model {model}",
            next_step="leave --adapter out, or name the model that it was trained on",
        )


def require_learnt(choice: Choice, labels: Iterable[str]) -> str:
    """What is to be said of the classes that an adapter left out; nothing where it left out none.

    Raises:
        ModelError: a checkpoint from scratch left one out: it would draw another class and call it this one.
    """
    from balancer.splits.contamination import left_out_classes

    unknown = left_out_classes(choice.checkpoint.folder).intersection(labels)
    if unknown:
        names = ", ".join(map(printable, sorted(unknown)))
        raise ModelError(
            needed=f"a model that learned {names}",
            found=f"{printable(choice.checkpoint.ref.name)}, trained from scratch, which left out what had one image",
            next_step="ask for the other classes alone, as with --target LABEL=N, or adapt a base",
        )
    unadapted = frozenset() if choice.folder is None else left_out_classes(choice.folder).intersection(labels)
    names = ", ".join(map(printable, sorted(unadapted)))
    return f"the adapter learned nothing of {names}, which had one training image" if unadapted else ""


def remember_base(session: Session, folder: Path, base: str) -> None:
    """Keep where an adapter's base is: in the state folder alone, relative to the working folder."""
    from balancer.workspace.last_fill import portable

    place = portable(Path(base), session.state) if Path(base).exists() else base
    session.ledger.save_setting(session.collection, BASE.of(folder.name), {"place": place})


def base_of(session: Session, folder: Path) -> str | None:
    """Where the base of an adapter that was made here is: a path, or the name of a fetched model."""
    found = session.ledger.setting(session.collection, BASE.of(folder.name))
    if found is None:
        return None
    path = session.state.folder.parent / found["place"]
    return str(path) if path.exists() else str(found["place"])


def _in_the_state_folder(session: Session, adapter: Path) -> Path:
    """An adapter made here may be called by its name alone."""
    own = session.state.adapters / adapter.name
    return own if not adapter.exists() and adapter.name == str(adapter) and own.is_dir() else adapter


def with_adapter(config: GenerationConfig) -> str:
    """The adapter's name after its base's, where there is one."""
    return "" if config.adapter is None else f" with {printable(config.adapter.name)}"


def learned_by(choice: Choice | None) -> frozenset[str]:
    """The hashes of all images that a model and its adapter say they learned from."""
    from balancer.splits.contamination import learned_files

    folders = () if choice is None else filter(None, (choice.checkpoint.folder, choice.folder))
    return frozenset(sha256 for folder in folders for sha256 in (learned_files(folder) or {}).values())


def exposure(session: Session, choice: Choice | None) -> str:
    """What is to be said of the patients that the model may have seen; nothing when it saw the training part alone."""
    if choice is None:
        return UNKNOWN
    made_here = {folder.resolve(): folder for folder in session.ledger.adapters(session.collection)}
    checkpoint = choice.checkpoint.folder.resolve()
    parts = [checkpoint] if choice.folder is None else [choice.folder.resolve(), checkpoint]
    if parts[0] not in made_here:
        return UNKNOWN
    said = [exposure_of(session, made_here[part]) for part in parts if part in made_here]
    if checkpoint not in made_here:
        base = printable(choice.checkpoint.ref.name)
        said.append(
            f"base exposure unknown: the adapter learned here, but what its base {base} was trained on before is not "
            "on record"
        )
    return "; ".join(filter(None, said))


def models_at_hand(session: Session) -> list[str]:
    """Where models are that may have drawn images: what `adapt` made here, its bases, and what the last fill named."""
    from balancer.cli.again import asked_of

    home, filled = session.state.folder.resolve().parent, asked_of(session, "fill")
    made_here = [folder for folder in session.ledger.adapters(session.collection) if folder.is_dir()]
    named = "" if filled is None else str(filled.options.get("model", ""))
    place = str(home / named) if named and (home / named).exists() else named
    return list(dict.fromkeys(filter(None, [*map(str, made_here), *(base_of(session, f) for f in made_here), place])))


def autoencoder_of(
    folder: Path,
    at_hand: Sequence[str],
    device: str,
    progress: Callable[[int, int], None],
    model: str | None = None,
) -> Autoencoder | None:
    """That of the checkpoint which a balanced folder's records name, by its hash; none where it is not at hand.

    It is looked for among the models `at_hand`, or it is `model`, as the user named it.

    Raises:
        ModelError: there is no such model.
    """
    from analysis.vision.reconstruction import Autoencoder
    from balancer.dataset.metadata_files import provenance_rows
    from balancer.generators.models.checkpoint import find_checkpoint

    known = next((row for row in provenance_rows(folder) if row.get("model_sha256")), {})
    candidates = [find_checkpoint(model)] if model else _checkpoints(at_hand, known.get("model", ""))
    same = (each for each in candidates if each.ref.sha256 == known.get("model_sha256") and not each.single_file)
    found = next(same, None)
    if found is None:
        if model:
            message("Note: --model is not the one that made these images, or a single file: left out.")
        return None
    size = (int(known.get("width") or found.native_size), int(known.get("height") or found.native_size))
    return Autoencoder(found, size, device, progress)


def _checkpoints(places: Sequence[str], likely: str) -> Iterator[Checkpoint]:
    """The checkpoints that are there, first those with the likely name: to tell one by its hash takes reading it."""
    from balancer.generators.models.checkpoint import find_checkpoint

    for place in sorted(places, key=lambda each: Path(each).name != Path(likely).name):
        with suppress(BalanceError):  # an adapter, or what was a model once
            yield find_checkpoint(place)
