"""Which model a run generates with, and where the bases of adapters are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balancer.errors import ModelError
from balancer.store.setting_names import BASE
from balancer.text import printable
from balancer.workspace.settings import FillSettings

if TYPE_CHECKING:
    from balancer.generators.models.selection import ModelSelection
    from balancer.generators.plugins import LoadedPlugin
    from balancer.jobs import GenerationConfig
    from balancer.workspace.workspace import Session


def chosen_model(session: Session, model: str | None, adapter: Path | None = None) -> ModelSelection:
    """The model and adapter that the user named, by default the newest that `adapt` made for this collection.

    Raises:
        ModelError: there is none, or they do not fit each other.
    """
    from balancer.generators.models.selection import choose_model

    made_here = session.ledger.adapters(session.collection)
    named = adapter and _in_the_state_folder(session, adapter)
    return choose_model(model, named, made_here, lambda folder: base_of(session, folder))


def chosen_maker(session: Session, model: str | None, adapter: Path | None = None) -> ModelSelection | LoadedPlugin:
    """What generates, of whatever family: `--model FAMILY:WEIGHTS` is opened, anything else is `chosen_model`'s.

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
            next_step="leave --adapter out, or use the model that it was trained on",
        )


def remember_base(session: Session, folder: Path, base: str) -> None:
    """Keep where an adapter's base is: in the state folder alone, relative to the working folder."""
    from balancer.workspace.last_fill import portable

    place = portable(Path(base), session.state) if Path(base).exists() else base
    session.ledger.save_setting(session.collection, BASE.of(folder.name), {"place": place})  # type: ignore[misc]


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


def models_at_hand(session: Session) -> list[str]:
    """Where models are that may have made images: what `adapt` made here, its bases, and that of the last fill."""
    from balancer.workspace.run_record import last_run

    last = last_run(session, "fill", FillSettings)
    made_here = [folder for folder in session.ledger.adapters(session.collection) if folder.is_dir()]
    named = None if last is None else last.settings.model
    return list(dict.fromkeys(filter(None, [*map(str, made_here), *(base_of(session, f) for f in made_here), named])))
