"""Which template pack words which class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from balancer.collection.guard import are_grades
from balancer.errors import PromptError
from balancer.progress import SILENT, Progress
from balancer.prompting.packs import PACKS, Packs, choose_pack, load_pack, unknown_labels
from balancer.prompting.set_packs import pack_of_set
from balancer.text import printable


def choose_packs(
    pack: str | None,
    labels: Sequence[str],
    progress: Progress = SILENT,
    *,
    sets: Iterable[str] = (),
    counts: Mapping[str, int] | None = None,
) -> Packs:
    """The template pack of each class: the named one, else the packaged one that knows it.

    Label sets, by their names, get the pack of their rarest finding by `counts`; their findings are among `labels`.
    Tells `progress` which classes no pack knows, and what to edit.

    >>> sorted(pack.name for pack in choose_packs(None, ["Effusion", "fractured"]).values())
    ['bone', 'chest']

    Raises:
        PromptError: the named pack cannot be read.
    """
    usual = load_pack(pack) if pack else choose_pack(labels)
    packs = [usual] if pack else [usual, *map(load_pack, PACKS)]
    chosen = {label: next((each for each in packs if each.find(label)), usual) for label in labels}
    unknown = [label for label in labels if unknown_labels(chosen[label], [label])]
    if unknown:
        names = ", ".join(map(printable, unknown))
        progress.message(
            f"Warning: {usual.source} has no prompts for {names}: their prompts contain only the class name."
        )
        progress.message(
            "         To describe them: balance prompts --new FILE.yaml, complete the file, then use --pack FILE.yaml"
        )
    if len({each.source for each in chosen.values()}) > 1:
        progress.message(
            "Note: prompts come from two packs, so their style differs by class; --pack chest or bone uses one pack."
        )
    several = [name for name in sets if name not in chosen]
    return chosen | {name: pack_of_set(name, chosen, counts or {}) for name in several}


def require_words(pack: str | None, labels: Sequence[str]) -> None:
    """Refuse to word grades without a pack: nobody knows what "3" shows, nor in which part of the body.

    >>> require_words("knee.yaml", ["0", "1"]), require_words(None, ["normal", "1"])
    (None, None)

    Raises:
        PromptError: the classes are small numbers, and no pack is named.
    """
    if pack is None and are_grades(labels):
        raise PromptError(
            needed="a template pack that says what the classes are: they are numbers, as grades are",
            found=f"no --pack, and the classes {', '.join(labels)}",
            next_step="balance prompts --new FILE.yaml, word each class in it, then the same command with: "
            "--pack FILE.yaml",
        )
