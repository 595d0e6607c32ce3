"""What is wrong with the wording of prompts: errors that forbid drawing from them, and warnings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from balancer.collection.class_names import words_of
from balancer.errors import PromptError
from balancer.prompting.lint_rules import (
    MODALITY_WORDS,
    NEGATIVE_RULES,
    POSITIVE_RULES,
    RENDERED,
    SAID_OF_ALL,
    SIDES,
    TEXT_RULES,
    Rule,
)
from balancer.prompting.packs import PATIENT, PLACEHOLDER, TemplatePack
from balancer.prompting.prompts import Prompt, findings_of
from balancer.prompting.spelling import misspelt

Severity = Literal["error", "warning"]
_BY_NAME = "the class name "
Packs = Mapping[str, TemplatePack]
"""The template pack of each label."""


@dataclass(frozen=True, slots=True)
class LintMessage:
    """One fault of a wording: where it is written (`line` is None for what no file says), what is wrong, the fix."""

    severity: Severity
    kind: str
    text: str
    message: str
    fix: str
    source: str
    line: int | None = None

    @property
    def where(self) -> str:
        """The file and the line, as far as they are known."""
        return self.source if self.line is None else f"{self.source}, line {self.line}"


@dataclass(frozen=True, slots=True)
class PromptFragment:
    """One text of a pack as it is written: a finding of `label`, a template, a slot's value, a negative."""

    role: Literal["modality", "template", "slot", "finding", "negative"]
    text: str
    source: str
    line: int | None = None
    label: str | None = None

    def complain(self, rule: Rule, found: str) -> LintMessage:
        """The complaint of a rule about what it found in this text."""
        return self.complaint(rule.severity, rule.kind, f"{found!r}: {rule.message}", rule.fix)

    def complaint(self, severity: Severity, kind: str, message: str, fix: str) -> LintMessage:
        """A complaint about this text; what a class's name is at fault for, a pack of the user's own mends."""
        if self.source.startswith(_BY_NAME):
            fix = f"{fix}: describe the class in your own pack (balance prompts --new FILE.yaml) or rename its folder"
        return LintMessage(severity, kind, self.text, message, fix, self.source, self.line)


def lint(packs: Packs, *, flips: bool = False, prompts: Iterable[Prompt] = ()) -> tuple[LintMessage, ...]:
    """All complaints about what the labels' prompts are made of, errors first, then in the order of the files.

    `flips` says that images are mirrored in training, which makes naming a side wrong; this tool mirrors none.
    `prompts` are looked through for values that no pack has, such as those of a table of patients. What a model
    reads of a prompt is another question: `lint_length`. A name of a patient that stands without "Mr" or
    "patient:" before it cannot be told from another word.

    >>> from balancer.prompting.packs import load_pack
    >>> lint({"normal": load_pack("chest"), "nodule": load_pack("chest")})
    ()
    """
    pieces = list(dict.fromkeys([*_pieces(packs), *_foreign_values(packs, prompts)]))
    found = [complaint for piece in pieces for complaint in lint_fragment(piece, flips=flips)]
    found += [*_fighting_classes(packs, pieces), *_same_findings(pieces), *_words_of_one_class(packs, pieces)]
    found += [*_different_packs(packs), *_unworded(packs)]
    return tuple(sorted(dict.fromkeys(found), key=lambda each: (each.severity, each.source, each.line or 0)))


def lint_fragment(piece: PromptFragment, *, flips: bool = False) -> Iterator[LintMessage]:
    """What can be said of one text without knowing the others."""
    text = PLACEHOLDER.sub(" ", piece.text) if piece.role == "template" else piece.text
    rules = (
        *TEXT_RULES,
        *(NEGATIVE_RULES if piece.role == "negative" else POSITIVE_RULES),
        *((SIDES,) if flips else ()),
    )
    for rule in rules:
        if match := rule.pattern.search(text):
            yield piece.complain(_as_warning(rule, text), match[0].strip())
    for word, nearest in misspelt(text):
        kind = "modality-misspelt" if nearest in MODALITY_WORDS else "misspelt"
        message = f"{word!r} looks like a spelling error"
        yield piece.complaint("warning", kind, message, f"perhaps it is {nearest!r}")


def lint_length(packs: Packs, limit: int = 77, count: Callable[[str], int] | None = None) -> tuple[LintMessage, ...]:
    """Prompts of which a text encoder that reads `limit` tokens would drop the end.

    For each template and finding the longest values of all slots are taken. `count` is the tokenizer of the model;
    without one the tokens are estimated on the safe side, which can only warn.
    """
    found = []
    for label, pack in ((label, pack) for label, pack in packs.items() if _has_wording(pack, label)):
        for place, text in _longest_texts(pack, label, count or estimate_tokens):
            tokens = (count or estimate_tokens)(text)
            certain = count is not None or len(text.split()) + 2 > limit
            if tokens > limit:
                how = (
                    f"{tokens} tokens" if count else f"about {tokens} tokens (an estimate, because no model was given)"
                )
                message = f"{how}, and the model reads {limit} and ignores the rest"
                severity: Severity = "error" if certain else "warning"
                line = pack.line(*place)
                found.append(LintMessage(severity, "too-long", text, message, "shorten it", pack.source, line))
    return tuple(dict.fromkeys(found))


def estimate_tokens(text: str) -> int:
    """Byte-pair tokens of a text without its tokenizer: a long word falls into pieces of about three letters.

    >>> estimate_tokens("chest radiograph, pneumothorax")
    12
    """
    words = re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", text)
    return 2 + sum(1 if len(word.encode()) <= 5 else -(-len(word.encode()) // 3) for word in words)


def refuse_errors(complaints: Sequence[LintMessage]) -> None:
    """Raise PromptError for the first error, saying how many there are."""
    errors = [each for each in complaints if each.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        first = errors[0]
        own = "" if first.line is None or first.source.startswith("prompt_templates/") else f" --pack {first.source}"
        raise PromptError(
            needed="prompts without errors",
            found=f"{first.where}: {first.message}, in {first.text!r}{more}",
            next_step=f"{first.fix}, then check: balance prompts --check{own}",
        )


def _as_warning(rule: Rule, text: str) -> Rule:
    """A negative that speaks of a drawing of bones and not of bones is only warned of."""
    return rule.as_warning() if rule.kind == "negative-fights-xrays" and RENDERED.search(text) else rule


def _pieces(packs: Packs) -> Iterator[PromptFragment]:
    for pack in {id(pack): pack for pack in packs.values()}.values():
        yield PromptFragment("modality", pack.modality, pack.source, pack.line("modality"))
        for number, text in enumerate(pack.templates):
            yield PromptFragment("template", text, pack.source, pack.line("templates", number))
        for name, texts in pack.slots.items():
            for number, text in enumerate(texts):
                yield PromptFragment("slot", text, pack.source, pack.line("slots", name, number))
        for name, wordings in pack.known.items():
            for values, text in wordings.items():
                yield PromptFragment("slot", text, pack.source, pack.line("known", name, " ".join(values)))
        yield from _negatives(pack)
    for label, pack in packs.items():
        yield from _findings(pack, label)


def _negatives(pack: TemplatePack) -> Iterator[PromptFragment]:
    texts = [text for text in pack.negative.split(", ") if text]
    by_item = pack.line("negative", len(texts) - 1) is not None and pack.line("negative", len(texts)) is None
    for number, text in enumerate(texts):
        line = pack.line("negative", number) if by_item else pack.line("negative")
        yield PromptFragment("negative", text, pack.source, line)


def _findings(pack: TemplatePack, label: str) -> Iterator[PromptFragment]:
    if not _has_wording(pack, label):
        return
    known = pack.find(label)
    source = pack.source if known else f"{_BY_NAME}{label!r}"
    for number, text in enumerate(findings_of(pack, label)):
        line = pack.line("classes", known.name, "findings", number) if known else None
        yield PromptFragment("finding", text, source, line, label)


def _foreign_values(packs: Packs, prompts: Iterable[Prompt]) -> Iterator[PromptFragment]:
    """Values of slots that none of the packs has."""
    own = {(name, text) for pack in packs.values() for name, texts in pack.slots.items() for text in texts}
    own |= {(name, text) for pack in packs.values() for name, words in pack.known.items() for text in words.values()}
    for name, text in dict.fromkeys(pair for prompt in prompts for pair in prompt.slots.items()):
        if name not in ("finding", "modality") and (name, text) not in own:
            yield PromptFragment("slot", text, f"the value of {name} in the table")


def _fighting_classes(packs: Packs, pieces: Sequence[PromptFragment]) -> Iterator[LintMessage]:
    """Negatives that name what the prompts ask for: guidance would push the images away from it."""
    wanted = {words_of(piece.text): piece.text for piece in pieces if piece.role != "negative"}
    names = {words_of(known.name): known.name for label, pack in packs.items() if (known := pack.find(label))}
    for piece in (piece for piece in pieces if piece.role == "negative"):
        words = words_of(piece.text)
        if asked := wanted.get(words) or names.get(words):
            message = f"the negative prompt contains {asked!r}, which the prompts request"
            fix = "remove it from the negative prompt"
            yield piece.complaint("error", "negative-fights-class", message, fix)


def _same_findings(pieces: Sequence[PromptFragment]) -> Iterator[LintMessage]:
    owners: dict[tuple[str, ...], list[PromptFragment]] = {}
    for piece in (piece for piece in pieces if piece.role == "finding"):
        owners.setdefault(words_of(piece.text), []).append(piece)
    shared: dict[tuple[str, ...], PromptFragment] = {}
    for group in owners.values():
        labels = tuple(dict.fromkeys(str(piece.label) for piece in group))
        if len(labels) > 1:
            shared.setdefault(labels, group[-1])
    for labels, piece in shared.items():
        message = f"the classes {', '.join(map(repr, labels))} have the same prompts: the model cannot distinguish them"
        fix = "give each class its own findings, or merge the folders"
        yield piece.complaint("warning", "same-prompt", message, fix)


def _words_of_one_class(packs: Packs, pieces: Sequence[PromptFragment]) -> Iterator[LintMessage]:
    """Findings of some classes that name a view, an age or a sex: the class would be told by it."""
    found = {piece: match[0].lower() for piece in pieces if (match := _said(piece))}
    for piece, word in found.items():
        labels = {other.label for other, said in found.items() if said == word}
        if len(packs) > 1 and labels != set(packs):
            message = f"{word!r} is in the prompts of {piece.label!r} but not of every class: it may become a shortcut"
            fix = "remove it from the finding; what is true of all images belongs in a slot or in the modality"
            yield piece.complaint("warning", "shortcut", message, fix)


def _said(piece: PromptFragment) -> re.Match[str] | None:
    return SAID_OF_ALL.search(piece.text) if piece.role == "finding" else None


def _unworded(packs: Packs) -> Iterator[LintMessage]:
    for label in (label for label, pack in packs.items() if not _has_wording(pack, label)):
        message = f"no pack has {label!r}, and its name contains no word for a prompt"
        fix = "describe the class in your own pack (balance prompts --new FILE.yaml) or rename its folder"
        yield LintMessage("error", "unworded", label, message, fix, f"{_BY_NAME}{label!r}")


def _has_wording(pack: TemplatePack, label: str) -> bool:
    return pack.find(label) is not None or bool(words_of(label))


def _different_packs(packs: Packs) -> Iterator[LintMessage]:
    sources = list(dict.fromkeys(pack.source for pack in packs.values()))
    parts = ("modality", "templates", "slots", "known", "negative")
    differing = [part for part in parts if len({repr(getattr(pack, part)) for pack in packs.values()}) > 1]
    if differing:
        message = f"the classes differ in {', '.join(differing)} and not only in the finding: it may become a shortcut"
        fix = "describe all classes in one pack: balance prompts --new FILE.yaml"
        yield LintMessage("warning", "shortcut", ", ".join(sources), message, fix, " and ".join(sources))


def _longest_texts(
    pack: TemplatePack, label: str, count: Callable[[str], int]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """For each template the longest text that it makes of a label, and for the negative itself; with their places."""
    told = {name: tuple(wordings.values()) for name, wordings in pack.known.items()}
    values = {name: max((*texts, *told.get(name, ())), key=count) for name, texts in pack.slots.items()}
    patient = [] if PATIENT in pack.slots else [max(told[PATIENT], key=count)] if told.get(PATIENT) else []
    values |= {"modality": " ".join([pack.modality, *patient]), "finding": max(findings_of(pack, label), key=count)}
    for number, template in enumerate(pack.templates):
        yield ("templates", number), PLACEHOLDER.sub(lambda match: values[match[1]], template)
    yield ("negative",), pack.negative
