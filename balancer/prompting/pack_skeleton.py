"""A template pack of the user's own, to begin with: the wordings that are known, and gaps where none is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from balancer.errors import OutputError
from balancer.files import write_whole
from balancer.prompting.packs import PACKS, ClassTemplate, TemplatePack, key_of

_HEADER = """\
# Prompts for the radiographs of this collection, started by `balance prompts --new`: edit them as you like.
# Each prompt is one template with its {slots} filled in:
#
#   modality    what every image is; say more if it is true of all, for instance "paediatric chest radiograph"
#   templates   sentences, each between quotes; {finding} must be in every one, {modality} and slots may be
#   slots       lists of wordings that are used equally often, in the same order for every class, so that no class
#               is known by its view; write a wording twice to use it twice as often. A slot must be true of every
#               patient, because any wording of it can be used for any patient
#   known       text for the values of a table of patients (balance scan --patients), slot by slot: each text is used
#               for the values before it: female, male, 0-4, 5-17, 18-39, 40-64, 65+ (years), PA, AP, lateral, with
#               spaces between several values. The patient follows the modality
#   negative    what no image should look like; never the absence of colour, since radiographs have none
#   classes     for each class the names that its folder may have (upper or lower case, "-", "_" and spaces make
#               no difference) and several wordings of the same finding
#
# Write what is visible, not what is absent: the image model ignores "no" and generates the rest. Name no side if
# images may be mirrored. Use at most 45 words: the model reads only 77 tokens. Put a text that
# contains { } : or # between double quotes.
#
# See the prompts with             balance prompts --pack THIS_FILE
# and check them with              balance prompts --pack THIS_FILE --check
"""
_GAP = """\
    # TO BE FILLED IN: what is visible in this class, in several wordings, one per line; until then this file is refused
    findings:
      -"""


def draft_pack(packs: Mapping[str, TemplatePack]) -> str:
    """The text of a pack for these labels, each with the pack that words it; the pack of most is the frame.

    A label that its pack does not know gets a gap, which `load_pack` refuses until it is filled in.

    >>> from balancer.prompting.packs import load_pack
    >>> draft_pack({"Zebra": load_pack("bone")}).splitlines()[-2:]
    ['    findings:', '      -']
    """
    sources = [pack.source for pack in packs.values()]
    frame = max(packs.values(), key=lambda pack: sources.count(pack.source))
    return "\n".join(
        [
            _HEADER,
            f"modality: {_quoted(frame.modality)}",
            "\ntemplates:",
            *(f"  - {_quoted(text, always=True)}" for text in frame.templates),
            *_slots(frame),
            *_known(frame),
            *_negative(frame),
            "\nclasses:",
            "\n\n".join(_classes(packs)) + "\n",
        ]
    )


def write_new_pack(path: Path, packs: Mapping[str, TemplatePack], collection: Path) -> None:
    """Write a drafted pack where no file is.

    Raises:
        OutputError: a file is there already, its folder is not, or it would lie in the collection.
        OSError: it cannot be written.
    """
    if os.path.lexists(path):
        raise _refused("a new file", f"{path.name}, which exists already", "name another file")
    if not path.parent.is_dir():
        raise _refused("an existing folder for the file", f"no folder {path.parent}", "create the folder first")
    if path.resolve().is_relative_to(collection.resolve()):
        found = f"{path.name} in {collection.name}, the collection, which balance never changes"
        raise _refused("a file outside the collection", found, "choose a file in another folder")
    if path.suffix.lower() not in (".yaml", ".yml"):
        known = " (a name without an extension could mean a packaged pack)" if str(path) in PACKS else ""
        raise _refused("a file name that ends in .yaml", f"{path.name}{known}", f"name it {path.stem}.yaml")
    write_whole(path, draft_pack(packs).encode("utf-8"))


def _refused(needed: str, found: str, fix: str) -> OutputError:
    return OutputError(needed=needed, found=found, next_step=f"{fix}: balance prompts --new FILE.yaml")


def _slots(frame: TemplatePack) -> Iterator[str]:
    if frame.slots:
        yield "\nslots:"
    for name, texts in frame.slots.items():
        yield f"  {name}: [{', '.join(_quoted(text) for text in texts)}]"


def _known(frame: TemplatePack) -> Iterator[str]:
    if frame.known:
        yield "\nknown:"
    for name, wordings in frame.known.items():
        yield f"  {name}:"
        yield from (f"    {_quoted(' '.join(values))}: {_quoted(text)}" for values, text in wordings.items())


def _negative(frame: TemplatePack) -> Iterator[str]:
    if frame.negative:
        yield "\nnegative:"
        yield from (f"  - {_quoted(text)}" for text in frame.negative.split(", "))


def _classes(packs: Mapping[str, TemplatePack]) -> Iterator[str]:
    """Each label as a class; labels that mean the same class are names of one."""
    groups: dict[ClassTemplate | str, dict[str, str]] = {}  # in each the labels, by what tells names apart
    for label, pack in packs.items():
        groups.setdefault(pack.find(label) or key_of(label), {}).setdefault(key_of(label), label)
    for found, labels in groups.items():
        yield _class(list(labels.values()), found if isinstance(found, ClassTemplate) else None)


def _class(labels: Sequence[str], found: ClassTemplate | None) -> str:
    lines = [f"  {_quoted(labels[0])}:"]
    if len(labels) > 1:
        lines.append(f"    synonyms: [{', '.join(map(_quoted, labels[1:]))}]")
    if found is None:
        return "\n".join([*lines, _GAP])
    return "\n".join([*lines, "    findings:", *(f"      - {_quoted(text)}" for text in found.findings)])


def _quoted(text: str, *, always: bool = False) -> str:
    """A text as YAML reads it back to the letter, on one line; what cannot be seen is escaped."""
    import yaml

    def dumped(style: str | None) -> str:
        visible = text.isprintable()
        line = yaml.safe_dump([text], default_style=style, default_flow_style=True, allow_unicode=visible, width=10**9)
        return line.strip()[1:-1]

    plain = dumped('"' if always else None)
    return plain if "\n" not in plain else dumped('"')
