"""Prompts: the texts that Stable Diffusion reads, put together from a template pack."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from balancer.collection.class_names import words_of
from balancer.errors import PromptError
from balancer.prompting.packs import (
    PATIENT,
    PLACEHOLDER,
    TemplatePack,
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text to draw an image from, and what it was put together from: `slots` filled into `template`."""

    text: str
    negative: str
    template: str
    slots: Mapping[str, str]


def make_prompt(
    pack: TemplatePack, label: str, index: int, seed: int = 0, known: Mapping[str, str] | None = None
) -> Prompt:
    """Prompt number `index` of a class: a pure function of its arguments.

    The label takes no part in the draw, so that prompt number 7 has the same view in every class and no slot
    can become a shortcut. `known` sets slots to what is known, as `TemplatePack.words` gives it. Raises
    PromptError for a known slot that the pack has not, and for a label without a letter or digit that no class names.

    >>> from balancer.prompting.packs import load_pack
    >>> prompt = make_prompt(load_pack("chest"), "VIRAL_PNEUMONIA", index=0)
    >>> prompt.slots["view"] == make_prompt(load_pack("chest"), "NORMAL", index=0).slots["view"]
    True
    """
    template = _draw(pack.templates, "template", index, seed)
    values = {name: _draw(options, name, index, seed) for name, options in pack.slots.items()}
    values |= {name: _known_text(pack, name, text) for name, text in (known or {}).items()}
    modality = pack.modality if PATIENT in pack.slots else " ".join([pack.modality, *_taken(values, PATIENT)])
    values |= {"modality": modality, "finding": _draw(findings_of(pack, label), "finding", index, seed)}
    slots = {name: values[name] for name in PLACEHOLDER.findall(template)}
    return Prompt(_fill(template, slots), pack.negative, template, slots)


def pack_texts(pack: TemplatePack, labels: Iterable[str]) -> Iterator[str]:
    """The negative text, then every finding of the labels in every template, with every slot value somewhere.

    It is a cover of all words and not all combinations, to train a vocabulary on. Raises PromptError as
    `make_prompt` does.

    >>> from balancer.prompting.packs import load_pack
    >>> "pleural effusion" in " ".join(pack_texts(load_pack("chest"), ["Effusion"]))
    True
    """
    yield pack.negative
    findings = [finding for label in labels for finding in findings_of(pack, label)]
    for turn in range(max(map(len, pack.slots.values()), default=1)):
        values = {name: options[turn % len(options)] for name, options in pack.slots.items()}
        for finding in findings:
            values |= {"modality": pack.modality, "finding": finding}
            yield from (_fill(template, values) for template in pack.templates)


def findings_of(pack: TemplatePack, label: str) -> tuple[str, ...]:
    """The wordings of a class: those of the pack, or for a class that it does not know the words of its name.

    Raises PromptError for a label without a letter or digit that no class names.
    """
    if known := pack.find(label):
        return known.findings
    if words := words_of(label):
        return (" ".join(words),)
    found = f"the class {label!r}, which {pack.source} does not contain"
    fix = f"rename its folder, or add {label!r} to the synonyms of a class: balance prompts --new FILE.yaml"
    raise PromptError(needed="a class name with a letter or a digit", found=found, next_step=fix)


def _draw(options: Sequence[str], name: str, index: int, seed: int) -> str:
    block, place = divmod(index, len(options))
    # Python promises random() to stay the same between versions, and shuffle() not
    chance = random.Random(f"{seed}/{name}/{block}").random
    return options[sorted(range(len(options)), key=lambda _: chance())[place]]


def _fill(template: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _taken(values: dict[str, str], name: str) -> list[str]:
    return [values.pop(name)] if name in values else []


def _known_text(pack: TemplatePack, name: str, text: str) -> str:
    clean = " ".join(text.split())
    if (name in pack.slots or (name == PATIENT and PATIENT in pack.known)) and clean:
        return clean
    needed = f"a text for a slot of {pack.source}, which has {', '.join(pack.slots) or 'none'}"
    fix = f"leave {name!r} out, or add the slot to a pack of your own: balance prompts --new FILE.yaml"
    raise PromptError(needed=needed, found=f"{name!r} set to {text!r}", next_step=fix)
