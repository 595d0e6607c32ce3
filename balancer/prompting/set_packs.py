"""Wordings of label sets: those of their findings, joined as a radiologist lists them, the rarest first.

A set becomes a class of its pack, so that prompts, their check and captions need to know nothing of sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from balancer.collection.class_names import words_of
from balancer.collection.label_sets import findings_in
from balancer.prompting.lint import estimate_tokens, lint_length
from balancer.prompting.packs import ClassTemplate, TemplatePack
from balancer.prompting.prompts import findings_of


def pack_of_set(name: str, packs: Mapping[str, TemplatePack], counts: Mapping[str, int]) -> TemplatePack:
    """The pack of the set's rarest finding, with the set as a class of its own.

    `packs` are those of findings, `counts` their images. Wordings are joined in turn; where that is too long for a
    prompt, the shortest are taken, and at last the findings' bare names.

    >>> from balancer.prompting.packs import load_pack
    >>> chest = load_pack("chest")
    >>> packs = {"Effusion": chest, "Nodule": chest}
    >>> pack_of_set("Effusion|Nodule", packs, {"Effusion": 90, "Nodule": 4}).find("Effusion|Nodule").findings[0]
    'a solitary pulmonary nodule and pleural effusion'
    """
    findings = sorted(findings_in(name), key=lambda finding: (counts.get(finding, 0), finding))
    wordings = [findings_of(packs[finding], finding) for finding in findings]
    usual = [listed([some[turn % len(some)] for some in wordings]) for turn in range(max(map(len, wordings)))]
    short = listed([min(some, key=estimate_tokens) for some in wordings])
    bare = listed([" ".join(words_of(finding)) for finding in findings])
    pack = packs[findings[0]]
    fitting = [text for text in dict.fromkeys(usual) if _fits(_with_set(pack, name, [text]), name)]
    shortest = short if _fits(_with_set(pack, name, [short]), name) else bare
    return _with_set(pack, name, fitting or [shortest])


def _with_set(pack: TemplatePack, name: str, texts: Sequence[str]) -> TemplatePack:
    return replace(pack, classes=(ClassTemplate(name, (), tuple(texts)), *pack.classes))


def _fits(pack: TemplatePack, name: str) -> bool:
    """Whether a text encoder would read all prompts of a set to their end."""
    return not lint_length({name: pack})


def listed(texts: Sequence[str]) -> str:
    """Texts as they are listed in a sentence.

    >>> listed(["a hernia", "an effusion", "a mass"])
    'a hernia, an effusion and a mass'
    """
    return " and ".join(filter(None, (", ".join(texts[:-1]), texts[-1])))
