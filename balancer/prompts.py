"""Prompts: a template pack, written by a radiologist in YAML, to the texts that Stable Diffusion reads."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.attributes import AGE_GROUPS, SEXES, VIEWS, Attributes, Wordings, slot_words
from balancer.errors import PromptError

if TYPE_CHECKING:
    from yaml import Event, Node

PACKS = ("chest", "bone")
MAX_BYTES = 1_000_000
MAX_DEPTH = 8  # a pack needs six, file and document counted; a thousand would end Python's recursion
RESERVED = frozenset({"finding", "modality", "template"})
PATIENT = "patient"
"""What is known of a patient stands behind the modality, unless the pack has a slot of this name."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_QUOTES = "put a text that has { } : or # in it between double quotes, and check the indentation"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text to draw an image from, and what it was put together from: `slots` filled into `template`."""

    text: str
    negative: str
    template: str
    slots: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ClassTemplate:
    """A class, the other names its folder may have, and several wordings of the same finding."""

    name: str
    synonyms: tuple[str, ...]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TemplatePack:
    """All wordings for one kind of radiograph; `source` is what messages call its file."""

    name: str
    source: str
    modality: str
    templates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]
    negative: str
    classes: tuple[ClassTemplate, ...]
    known: Wordings = field(default_factory=dict)

    def find(self, label: str) -> ClassTemplate | None:
        """The class that a label names, whatever its case and separators, or None.

        >>> load_pack("chest").find("pleuralEffusion").name
        'pleural effusion'
        >>> load_pack("chest").find("unicorn") is None
        True
        """
        key = _key(label)
        return next((c for c in self.classes if key in map(_key, (c.name, *c.synonyms))), None)

    def words(self, known: Attributes) -> dict[str, str]:
        """The slots that sex, age group and view set, with their texts: the `known` of a prompt.

        >>> load_pack("chest").words(Attributes("female", "18-39", "PA"))
        {'view': 'posteroanterior PA projection', 'patient': 'of a young woman'}
        """
        return slot_words(self.known, self.slots, known)


def load_pack(name_or_path: str | Path) -> TemplatePack:
    """A packaged pack by its name ("chest", "bone"), or the user's own YAML file.

    Raises PromptError, with the line, for a file that cannot be read or is not a complete pack.

    >>> load_pack("bone").source
    'prompt_templates/bone.yaml'
    """
    if str(name_or_path) in PACKS:
        return _packaged(str(name_or_path))
    path = Path(name_or_path)
    return _parse(_read(path), name=path.stem, source=path.name)


def choose_pack(labels: Sequence[str]) -> TemplatePack:
    """The packaged pack that knows most of the labels; chest where both know equally many. Raises nothing.

    >>> choose_pack(["normal", "Greenstick fracture"]).name
    'bone'
    """
    return min((_packaged(name) for name in PACKS), key=lambda pack: len(unknown_labels(pack, labels)))


def make_prompt(
    pack: TemplatePack, label: str, index: int, seed: int = 0, known: Mapping[str, str] | None = None
) -> Prompt:
    """Prompt number `index` of a class: a pure function of its arguments.

    The label takes no part in the draw, so that prompt number 7 has the same view in every class and no slot
    can become a shortcut. `known` sets slots to what is known, as `TemplatePack.words` gives it. Raises
    PromptError for a known slot that the pack has not, and for a label without a letter or digit that no class names.

    >>> prompt = make_prompt(load_pack("chest"), "VIRAL_PNEUMONIA", index=0)
    >>> prompt.slots["view"] == make_prompt(load_pack("chest"), "NORMAL", index=0).slots["view"]
    True
    """
    template = _draw(pack.templates, "template", index, seed)
    values = {name: _draw(options, name, index, seed) for name, options in pack.slots.items()}
    values |= {name: _known_text(pack, name, text) for name, text in (known or {}).items()}
    modality = pack.modality if PATIENT in pack.slots else " ".join([pack.modality, *_taken(values, PATIENT)])
    values |= {"modality": modality, "finding": _draw(_findings(pack, label), "finding", index, seed)}
    slots = {name: values[name] for name in _PLACEHOLDER.findall(template)}
    return Prompt(_fill(template, slots), pack.negative, template, slots)


def pack_texts(pack: TemplatePack, labels: Iterable[str]) -> Iterator[str]:
    """The negative text, then every finding of the labels in every template, with every slot value somewhere.

    It is a cover of all words and not all combinations, to train a vocabulary on. Raises PromptError as
    `make_prompt` does.

    >>> "pleural effusion" in " ".join(pack_texts(load_pack("chest"), ["Effusion"]))
    True
    """
    yield pack.negative
    findings = [finding for label in labels for finding in _findings(pack, label)]
    for turn in range(max(map(len, pack.slots.values()), default=1)):
        values = {name: options[turn % len(options)] for name, options in pack.slots.items()}
        for finding in findings:
            values |= {"modality": pack.modality, "finding": finding}
            yield from (_fill(template, values) for template in pack.templates)


def unknown_labels(pack: TemplatePack, labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that the pack has no wording for, in their order; they get a plain one. Raises nothing.

    >>> unknown_labels(load_pack("chest"), ["NORMAL", "Left_lung-XYZ"])
    ('Left_lung-XYZ',)
    """
    return tuple(label for label in labels if pack.find(label) is None)


def _draw(options: Sequence[str], name: str, index: int, seed: int) -> str:
    block, place = divmod(index, len(options))
    # Python promises random() to stay the same between versions, and shuffle() not
    chance = random.Random(f"{seed}/{name}/{block}").random
    return options[sorted(range(len(options)), key=lambda _: chance())[place]]


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], template)


def _findings(pack: TemplatePack, label: str) -> tuple[str, ...]:
    if known := pack.find(label):
        return known.findings
    if words := _words(label):
        return (" ".join(words),)
    found = f"the class {label!r}, which {pack.source} does not know"
    fix = f"rename its folder, or add {label!r} to the synonyms of a class in a copy of {pack.source}"
    raise PromptError(needed="a class name with a letter or a digit in it", found=found, next_step=fix)


def _taken(values: dict[str, str], name: str) -> list[str]:
    return [values.pop(name)] if name in values else []


def _known_text(pack: TemplatePack, name: str, text: str) -> str:
    clean = " ".join(text.split())
    if (name in pack.slots or (name == PATIENT and PATIENT in pack.known)) and clean:
        return clean
    needed = f"a text for a slot of {pack.source}, which has {', '.join(pack.slots) or 'none'}"
    fix = f"leave {name!r} out, or add the slot to a copy of {pack.source}"
    raise PromptError(needed=needed, found=f"{name!r} set to {text!r}", next_step=fix)


@lru_cache(maxsize=4096)
def _words(label: str) -> tuple[str, ...]:
    """Lower-case words of a folder's name: whatever is no letter, digit or accent separates."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", label))
    kept = (c if c.isalnum() or unicodedata.category(c).startswith("M") else " " for c in spaced)
    return tuple("".join(kept).lower().split())


@lru_cache(maxsize=4096)
def _key(label: str) -> str:
    return "".join(_words(label)).casefold() or label.strip()


@lru_cache(maxsize=len(PACKS))
def _packaged(name: str) -> TemplatePack:
    from importlib import resources

    file = resources.files("prompt_templates") / f"{name}.yaml"
    return _parse(file.read_bytes(), name=name, source=f"prompt_templates/{name}.yaml")


def _read(path: Path) -> bytes:
    needed = f"a template pack: {', '.join(PACKS)} or a YAML file of at most {MAX_BYTES} bytes"
    fix = "check that this is the file you meant, and that you may read it"
    try:
        if not path.is_file():  # a pipe would wait for ever
            raise PromptError(needed=needed, found=f"no file {path}", next_step=fix)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise PromptError(needed=needed, found=f"{path.name}: {exc.strerror}", next_step=fix) from exc
    if len(data) > MAX_BYTES:
        raise PromptError(needed=needed, found=f"{path.name}, which is larger", next_step=fix)
    return data


def _parse(data: bytes, name: str, source: str) -> TemplatePack:
    reader = _Reader(source)
    parts = reader.entries(
        reader.compose(data), "the pack", ("modality", "templates", "classes"), ("slots", "negative", "known")
    )
    slots = reader.slots(parts["slots"]) if "slots" in parts else {}
    return TemplatePack(
        name=name,
        source=source,
        modality=reader.text(parts["modality"], "modality"),
        templates=reader.templates(parts["templates"], slots),
        slots=slots,
        negative=", ".join(reader.texts(parts["negative"], "negative")) if "negative" in parts else "",
        classes=reader.classes(parts["classes"]),
        known=reader.known(parts["known"], slots) if "known" in parts else {},
    )


def _line(at: Node | Event) -> int:
    return int(at.start_mark.line) + 1 if at.start_mark else 1


@dataclass(frozen=True, slots=True)
class _Reader:
    """Takes a pack's YAML apart without ever building an object from it, and knows every fault's line."""

    source: str

    def fault(self, at: Node | Event | int, needed: str, found: str, fix: str) -> PromptError:
        where = f"{self.source}, line {at if isinstance(at, int) else _line(at)}"
        return PromptError(needed=needed, found=f"{where}: {found}", next_step=f"in {where}: {fix}")

    def compose(self, data: bytes) -> Node:
        import yaml

        text = data.decode("utf-8-sig", errors="surrogateescape")  # YAML refuses surrogates, with their place
        try:
            self.refuse_tricks(yaml.parse(text, Loader=yaml.SafeLoader))
            node: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as exc:
            mark, start = getattr(exc, "problem_mark", None), getattr(exc, "position", 0)
            line = (mark.line if mark else text.count("\n", 0, start)) + 1
            found = getattr(exc, "problem", None) or "a control character, or bytes that are not UTF-8"
            raise self.fault(line, "valid YAML", found, _QUOTES) from exc
        if node is None:
            raise self.fault(1, "a template pack", "an empty file", "copy a packaged pack and edit the copy")
        return node

    def refuse_tricks(self, events: Iterable[Event]) -> None:
        """Aliases can grow a small file without end, and tags ask for objects: a pack needs neither."""
        depth = 0
        for event in events:
            kind = type(event).__name__
            depth += kind.endswith("StartEvent") - kind.endswith("EndEvent")
            if getattr(event, "anchor", None) or getattr(event, "tag", None) or depth > MAX_DEPTH:
                found = "an anchor, an alias, a tag (& * !) or very deep nesting"
                raise self.fault(event, "plain texts and lists", found, f"write it out; {_QUOTES}")

    def text(self, node: Node, what: str, braces: str = "{}") -> str:
        """A text as it is written, `no` and `19` too, which YAML itself would take for something else."""
        if not isinstance(node.value, str):
            raise self.fault(node, f"a text for {what}", "a list or a mapping", _QUOTES)
        clean = " ".join(str(node.value).split())
        if not clean or node.tag.endswith(":null"):
            raise self.fault(node, f"a text for {what}", "nothing", "write a text or delete the line")
        if any(brace in clean for brace in braces):
            raise self.fault(node, f"no {{slot}} in {what}", clean, "use {slots} in templates alone")
        return clean

    def items(self, node: Node, what: str) -> list[Node]:
        if not node.tag.endswith(":seq") or not node.value:
            raise self.fault(node, f"a list of texts for {what}", "none, or an empty one", "write [one, two]")
        return list(node.value)

    def texts(self, node: Node, what: str) -> tuple[str, ...]:
        return tuple(self.text(item, what) for item in self.items(node, what))

    def pairs(self, node: Node, what: str) -> dict[str, tuple[Node, Node]]:
        """The nodes of a mapping, key and value, by the key's text; no key twice."""
        if not node.tag.endswith(":map") or not node.value:
            raise self.fault(node, f"`name: value` lines for {what}", "none", _QUOTES)
        pairs: dict[str, tuple[Node, Node]] = {}
        for key_node, value in node.value:
            key = self.text(key_node, f"a name in {what}")
            if key in pairs:
                raise self.fault(key_node, f"each name once in {what}", f"{key!r} again", "delete one")
            pairs[key] = key_node, value
        return pairs

    def entries(self, node: Node, what: str, must: Sequence[str], may: Sequence[str]) -> dict[str, Node]:
        pairs = self.pairs(node, what)
        needed = f"{', '.join(must)} in {what} ({', '.join(may)} if wanted)"
        for key in (key for key in pairs if key not in (*must, *may)):
            raise self.fault(pairs[key][0], needed, f"the unknown key {key!r}", "correct or delete the key")
        for key in (key for key in must if key not in pairs):
            raise self.fault(node, needed, f"no {key!r}", f"add `{key}:`")
        return {key: value for key, (_, value) in pairs.items()}

    def slots(self, node: Node) -> dict[str, tuple[str, ...]]:
        pairs = self.pairs(node, "slots")
        for name, (key_node, _) in pairs.items():
            if not re.fullmatch(r"[a-z_]+", name) or name in RESERVED:
                needed = f"a slot name of the letters a to z and _, not {', '.join(sorted(RESERVED))}"
                raise self.fault(key_node, needed, repr(name), "give the slot another name")
        return {name: self.texts(value, f"the slot {name}") for name, (_, value) in pairs.items()}

    def known(self, node: Node, slots: Collection[str]) -> Wordings:
        """Wordings of what a table of patients tells, each under the values that must hold."""
        wordings: dict[str, dict[tuple[str, ...], str]] = {}
        for slot, (key_node, value) in self.pairs(node, "known").items():
            if slot not in (*slots, PATIENT):
                fix = f"correct the name, or add `{slot}: [..]` under slots"
                raise self.fault(key_node, f"one of {', '.join([*slots, PATIENT])} under known", repr(slot), fix)
            pairs = self.pairs(value, f"the known {slot}")
            keys = {name: self.values(name, at, slot) for name, (at, _) in pairs.items()}
            wordings[slot] = {keys[name]: self.text(text, f"{slot} {name}") for name, (_, text) in pairs.items()}
        return wordings

    def values(self, name: str, node: Node, slot: str) -> tuple[str, ...]:
        """The values of a wording's name: a sex, an age group, a view, or several of them with spaces between."""
        allowed = (*SEXES, *AGE_GROUPS, *VIEWS)
        words = tuple(name.split())
        if set(words) <= set(allowed) and len(set(words)) == len(words):
            return words
        if slot == "view":
            return (name,)  # a table may have views that only its owner knows
        fix = "correct the name; several values are written with spaces between, such as `female 65+`"
        raise self.fault(node, f"values out of {', '.join(allowed)}", repr(name), fix)

    def templates(self, node: Node, slots: Collection[str]) -> tuple[str, ...]:
        templates = tuple(self.template(item, slots) for item in self.items(node, "templates"))
        used = _PLACEHOLDER.findall(" ".join(templates))
        for name in (name for name in slots if name not in used):
            fix = f"write {{{name}}} into a template, or delete the slot"
            raise self.fault(node, "every slot in a template", f"{{{name}}} in none", fix)
        return templates

    def template(self, node: Node, slots: Collection[str]) -> str:
        text = self.text(node, "a template", braces="")
        known = sorted({"finding", "modality", *slots})
        if "{finding}" not in text:
            raise self.fault(node, "{finding} in every template", text, "write {finding} into the template")
        for name in (name for name in _PLACEHOLDER.findall(text) if name not in known):
            fix = f"correct the name, or add `{name}: [..]` under slots"
            raise self.fault(node, f"one of {', '.join(known)}", f"{{{name}}}", fix)
        if re.search("[{}]", _PLACEHOLDER.sub("", text)):
            raise self.fault(node, "{name}, of a to z and _, and no other braces", text, "correct the braces")
        return text

    def classes(self, node: Node) -> tuple[ClassTemplate, ...]:
        pairs = self.pairs(node, "classes")
        seen: dict[str, Node] = {}
        return tuple(self.a_class(name, *nodes, seen) for name, nodes in pairs.items())

    def a_class(self, name: str, key_node: Node, value: Node, seen: dict[str, Node]) -> ClassTemplate:
        parts = self.entries(value, f"the class {name}", ("findings",), ("synonyms",))
        synonyms = self.items(parts["synonyms"], f"the synonyms of {name}") if "synonyms" in parts else []
        names = [self.claim(at, seen) for at in (key_node, *synonyms)]
        return ClassTemplate(name, tuple(names[1:]), self.texts(parts["findings"], f"the findings of {name}"))

    def claim(self, node: Node, seen: dict[str, Node]) -> str:
        name = self.text(node, "a name of a class")
        first = seen.setdefault(_key(name), node)
        if first is not node:
            found = f"{name!r}, which is also on line {_line(first)}"
            raise self.fault(node, "each name for one class", found, "delete one of the two")
        return name
