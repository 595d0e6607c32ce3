"""Looking whether all is ready, before hours go into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from balancer.errors import BalanceError
from balancer.progress import SILENT, Progress
from balancer.store.setting_names import ACCEPTED
from balancer.workspace.doctor_settings import DoctorSettings
from balancer.workspace.fill_time import of_thousand
from balancer.workspace.models import chosen_maker, refuse_adapter

if TYPE_CHECKING:
    from balancer.generators.models.selection import ModelSelection
    from balancer.generators.plugins import LoadedPlugin
    from balancer.prompting.prompts import Prompt
    from balancer.workspace.checks import Check
    from balancer.workspace.workspace import Session, Workspace

_PROMPTS = 200  # of each class: wordings repeat long before


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """What was looked at, each with what was found and what to do."""

    checks: Sequence[Check]

    @property
    def ready(self) -> bool:
        """Whether nothing failed."""
        return not any(check.state == "fail" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """The fields for `--json`."""
        return {"ready": self.ready, "checks": [asdict(check) for check in self.checks]}


def doctor(
    workspace: Workspace, settings: DoctorSettings = DoctorSettings(), *, progress: Progress = SILENT
) -> DoctorResult:
    """Check machine, disk, model, adapter, licence and prompts, and measure how long it takes to generate.

    What cannot be used is a failed check and no error.

    >>> found = doctor(Workspace.open(folder), DoctorSettings(model="noise:8", no_draw=True))
    >>> found.checks[0].name, found.checks[-1].name, found.checks[-1].state
    ('collection', 'model', 'ok')
    """
    with ExitStack() as stack:
        session, checks = _opened(workspace, stack)
        checks += _machine(session, settings.device)
        checks += _plugins()
        checks += _model(session, settings, progress)
    return DoctorResult(checks)


def _opened(workspace: Workspace, stack: ExitStack) -> tuple[Session | None, list[Check]]:
    """The session, where something was scanned: a model can be looked at without."""
    from balancer.workspace.checks import Check, check_state

    try:
        session = stack.enter_context(workspace.session(write=False, several=True))
    except BalanceError as error:
        return None, [Check("collection", "warn", f"{error.found} ({error.needed})", error.next_step)]
    found = f"{session.collection.root.name}: {len(session.collection.images)} images"
    return session, [Check("collection", "ok", found), check_state(session.state)]


def _machine(session: Session | None, device: str) -> Iterator[Check]:
    from balancer.workspace.checks import check_device, check_disk, check_offline, check_software, check_workers

    yield check_software()
    yield from _tried("device", lambda: [check_device(device)])
    yield from _tried("workers", lambda: [check_workers()])
    images = 0 if session is None else int(session.collection.images["size"].sum())
    yield check_disk(Path.cwd() if session is None else session.state.folder, images)
    yield check_offline()


def _plugins() -> Iterator[Check]:
    """What other packages bring, imported once to see that it can be."""
    from balancer.plugins import GROUPS, find_plugins
    from balancer.workspace.checks import Check

    for group in GROUPS:
        try:
            found = {name: each for name, each in find_plugins(group).items() if not each.is_ours}
            for each in found.values():
                each.load()
        except BalanceError as error:
            yield Check.failed("plug-ins", error)
            continue
        if found:
            names = ", ".join(f"{name} ({each.package})" for name, each in found.items())
            yield Check("plug-ins", "ok", f"{group.removeprefix('balancer.')}: {names}")


def _model(session: Session | None, settings: DoctorSettings, progress: Progress) -> Iterator[Check]:
    from balancer.generators.models.memory import largest_bytes
    from balancer.generators.plugins import LoadedPlugin
    from balancer.workspace.checks import (
        Check,
        check_drawing,
        check_family,
        check_family_drawing,
        check_licence,
        check_memory,
        check_model,
        check_prompts,
    )

    adapter, draw, told = settings.adapter, not settings.no_draw, partial(of_thousand, workers=settings.workers)
    try:
        choice, prompts = _choice(session, settings.model, adapter), _prompts(session, settings.pack)
    except BalanceError as error:
        yield Check.failed("adapter" if adapter is not None and "adapter" in error.needed else "model", error)
        return
    if isinstance(choice, LoadedPlugin):
        yield check_family(choice)
        if draw and session is not None:  # a family may know the collection's classes alone
            label = session.collection.labels[0]
            yield from _tried("drawing", lambda: [check_family_drawing(choice, label, prompts[0], told)])
        return
    checkpoint = choice.checkpoint
    yield from check_model(checkpoint)
    accepted = session.ledger.setting(session.collection, ACCEPTED) if session else None
    yield check_licence(checkpoint, accepted or {})
    yield from _tried("tokens", lambda: [check_prompts(choice, prompts)])
    memory = check_memory(largest_bytes(checkpoint))
    yield memory
    if draw and memory.state != "fail":
        progress.message("Loading the model and generating an image, to check memory and time (--no-draw skips this)")
        device = settings.device
        yield from _tried("drawing", lambda: check_drawing(choice, _device(device), prompts[0], told))


def _tried(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    from balancer.workspace.checks import Check

    try:
        return look()
    except BalanceError as error:
        return [Check.failed(name, error)]


def _choice(session: Session | None, model: str | None, adapter: Path | None) -> ModelSelection | LoadedPlugin:
    from balancer.generators.models.selection import choose_model
    from balancer.generators.plugins import names_family, open_family

    if session is not None:
        return chosen_maker(session, model, adapter)
    if model is not None and names_family(model):
        refuse_adapter(model, adapter)
        return open_family(model, _device("auto"), Path.cwd())
    return choose_model(model, adapter, [], lambda folder: None)


def _prompts(session: Session | None, pack: str | None) -> list[Prompt]:
    """What would be asked for; without a scanned collection a word of a pack."""
    from balancer.prompting.choice import choose_packs
    from balancer.prompting.packs import load_pack
    from balancer.prompting.prompts import make_prompt
    from balancer.workspace.prompts_run import known_attributes

    if session is None:
        templates = load_pack(pack or "chest")
        return [make_prompt(templates, "normal", index, 0) for index in range(_PROMPTS)]
    packs, known = (
        choose_packs(pack, session.collection.labels),
        known_attributes(session, remember=False),
    )
    return [
        make_prompt(packs[label], label, index, 0, packs[label].words(known.draw(index, 0)))
        for label in session.collection.labels
        for index in range(_PROMPTS)
    ]


def _device(name: str) -> str:
    from balancer.devices import choose_device

    return choose_device(name)
