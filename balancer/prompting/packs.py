"""Template packs, written by radiologists in YAML: read without trust, every fault told with its line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.collection.attributes import AGE_GROUPS, SEXES, VIEWS, Attributes, Wordings, slot_words, stated_in
from balancer.collection.class_names import find_loosely, words_of
from balancer.errors import PromptError

if TYPE_CHECKING:
    from yaml import Event, Node

PACKS = ("chest", "bone")
MAX_BYTES = 1_000_000
MAX_DEPTH = 8  # a pack needs six, file and document counted; a thousand would end Python's recursion
Place = tuple[str | int, ...]
"""Where a text stands in a pack's file: the keys, and the numbers in lists, that lead to it."""
RESERVED = frozenset({"finding", "modality", "template"})
PATIENT = "patient"
"""What is known of a patient stands behind the modality, unless the pack has a slot of this name."""
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_QUOTES = "put a text with { } : or # between double quotes, and check the indentation"


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
    lines: Mapping[Place, int] = field(default_factory=dict, repr=False, compare=False)

    def find(self, label: str) -> ClassTemplate | None:
        """The class that a label names, whatever its case and separators, or None.

        Where no name fits exactly, simple plurals, another order of the words, a number behind and synonyms in
        brackets are forgiven, as long as all of it means one and the same class and nothing is negated.

        >>> load_pack("chest").find("pleuralEffusion").name
        'pleural effusion'
        >>> load_pack("chest").find("Nodules (lung nodule)").name
        'nodule'
        >>> load_pack("chest").find("unicorn") is None
        True
        """
        key = key_of(label)
        exact = next((c for c in self.classes if key in map(key_of, (c.name, *c.synonyms))), None)
        return exact or find_loosely(label, {c: (c.name, *c.synonyms) for c in self.classes})

    def words(self, known: Attributes) -> dict[str, str]:
        """The slots that sex, age group and view set, with their texts: the `known` of a prompt.

        >>> load_pack("chest").words(Attributes("female", "18-39", "PA"))
        {'view': 'posteroanterior PA projection', 'patient': 'of a young woman'}
        """
        return slot_words(self.known, self.slots, known)

    def stated(self, slots: Mapping[str, str]) -> Attributes:
        """What a prompt whose slots these are states of sex, age group and view.

        >>> load_pack("chest").stated({"modality": "chest radiograph of a young woman", "view": "lateral projection"})
        Attributes(sex='female', age='18-39', view='lateral')
        """
        texts = dict(slots)
        if PATIENT not in self.slots and "modality" in texts:
            texts[PATIENT] = texts["modality"].removeprefix(self.modality).strip()
        return stated_in(self.known, texts)

    def line(self, *place: str | int) -> int | None:
        """The line of a part of the file, `("classes", "normal", "findings", 0)` for one; None if it is not there."""
        return self.lines.get(place)


Packs = Mapping[str, TemplatePack]
"""The template pack of each label."""


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


def unknown_labels(pack: TemplatePack, labels: Iterable[str]) -> tuple[str, ...]:
    """The labels that the pack has no wording for, in their order; they get a plain one. Raises nothing.

    >>> unknown_labels(load_pack("chest"), ["NORMAL", "Left_lung-XYZ"])
    ('Left_lung-XYZ',)
    """
    return tuple(label for label in labels if pack.find(label) is None)


@lru_cache(maxsize=4096)
def key_of(label: str) -> str:
    """What tells names of classes apart: their letters, without case and separators.

    >>> key_of("Pleural_Effusion") == key_of("pleuralEffusion")
    True
    """
    return "".join(words_of(label)).casefold() or label.strip()


@lru_cache(maxsize=len(PACKS))
def _packaged(name: str) -> TemplatePack:
    from importlib import resources

    file = resources.files("prompt_templates") / f"{name}.yaml"
    return _parse(file.read_bytes(), name=name, source=f"prompt_templates/{name}.yaml")


def _read(path: Path) -> bytes:
    needed = f"a template pack: {', '.join(PACKS)} or a YAML file of at most {MAX_BYTES} bytes"
    fix = "check the file name and its permissions: balance prompts --check --pack FILE"
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
    reader = _PackParser(source)
    root = reader.compose(data)
    parts = reader.entries(root, "the pack", ("modality", "templates", "classes"), ("slots", "negative", "known"))
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
        lines=dict(_places(root)),
    )


def _places(node: Node, place: Place = ()) -> Iterator[tuple[Place, int]]:
    """Every part of a pack that was read without fault, and its line."""
    yield place, _line(node)
    if node.tag.endswith(":map"):
        for key, value in node.value:
            yield from _places(value, (*place, key.value))
    elif node.tag.endswith(":seq"):
        for number, item in enumerate(node.value):
            yield from _places(item, (*place, number))


def _line(at: Node | Event) -> int:
    return int(at.start_mark.line) + 1 if at.start_mark else 1


@dataclass(frozen=True, slots=True)
class _PackParser:
    """Takes a pack's YAML apart without ever building an object from it, and knows every fault's line."""

    source: str

    def fault(self, at: Node | Event | int, needed: str, found: str, fix: str) -> PromptError:
        where = f"{self.source}, line {at if isinstance(at, int) else _line(at)}"
        return PromptError(
            needed=needed,
            found=f"{where}: {found}",
            next_step=f"in {where}: {fix}, then: balance prompts --check --pack FILE",
        )

    def compose(self, data: bytes) -> Node:
        import yaml

        text = data.decode("utf-8-sig", errors="surrogateescape")  # YAML refuses surrogates, with their place
        try:
            self.refuse_unsafe_yaml(yaml.parse(text, Loader=yaml.SafeLoader))
            node: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as exc:
            mark, start = getattr(exc, "problem_mark", None), getattr(exc, "position", 0)
            line = (mark.line if mark else text.count("\n", 0, start)) + 1
            found = getattr(exc, "problem", None) or "a control character, or bytes that are not UTF-8"
            fix = _QUOTES if mark else "save the file as plain text in UTF-8, and delete control characters"
            raise self.fault(line, "valid YAML", found, fix) from exc
        if node is None:
            raise self.fault(1, "a template pack", "an empty file", "copy a packaged pack and edit the copy")
        return node

    def refuse_unsafe_yaml(self, events: Iterable[Event]) -> None:
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
            raise self.fault(node, f"no {{slot}} in {what}", clean, "use {slots} only in templates")
        return clean

    def items(self, node: Node, what: str) -> list[Node]:
        if not node.tag.endswith(":seq") or not node.value:
            raise self.fault(node, f"a list of texts for {what}", "none, or an empty one", "write [one, two]")
        return list(node.value)

    def texts(self, node: Node, what: str) -> tuple[str, ...]:
        return tuple(self.text(item, what) for item in self.items(node, what))

    def pairs(self, node: Node, what: str, braces: str = "{}") -> dict[str, tuple[Node, Node]]:
        """The nodes of a mapping, key and value, by the key's text; no key twice."""
        if not node.tag.endswith(":map") or not node.value:
            raise self.fault(node, f"`name: value` lines for {what}", "none", _QUOTES)
        pairs: dict[str, tuple[Node, Node]] = {}
        for key_node, value in node.value:
            key = self.text(key_node, f"a name in {what}", braces)
            if key in pairs:
                raise self.fault(key_node, f"each name only once in {what}", f"{key!r} again", "delete one")
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
                needed = f"a slot name with the letters a to z and _, not {', '.join(sorted(RESERVED))}"
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
        fix = "correct the name; put a space between several values, such as `female 65+`"
        raise self.fault(node, f"values from {', '.join(allowed)}", repr(name), fix)

    def templates(self, node: Node, slots: Collection[str]) -> tuple[str, ...]:
        templates = tuple(self.template(item, slots) for item in self.items(node, "templates"))
        used = PLACEHOLDER.findall(" ".join(templates))
        for name in (name for name in slots if name not in used):
            fix = f"write {{{name}}} into a template, or delete the slot"
            raise self.fault(node, "every slot in a template", f"{{{name}}} in none", fix)
        return templates

    def template(self, node: Node, slots: Collection[str]) -> str:
        text = self.text(node, "a template", braces="")
        known = sorted({"finding", "modality", *slots})
        if "{finding}" not in text:
            raise self.fault(node, "{finding} in every template", text, "write {finding} into the template")
        for name in (name for name in PLACEHOLDER.findall(text) if name not in known):
            fix = f"correct the name, or add `{name}: [..]` under slots"
            raise self.fault(node, f"one of {', '.join(known)}", f"{{{name}}}", fix)
        if re.search("[{}]", PLACEHOLDER.sub("", text)):
            raise self.fault(node, "{name}, of a to z and _, and no other braces", text, "correct the braces")
        return text

    def classes(self, node: Node) -> tuple[ClassTemplate, ...]:
        pairs = self.pairs(node, "classes", braces="")
        seen: dict[str, Node] = {}
        return tuple(self.a_class(name, *nodes, seen) for name, nodes in pairs.items())

    def a_class(self, name: str, key_node: Node, value: Node, seen: dict[str, Node]) -> ClassTemplate:
        parts = self.entries(value, f"the class {name}", ("findings",), ("synonyms",))
        synonyms = self.items(parts["synonyms"], f"the synonyms of {name}") if "synonyms" in parts else []
        names = [self.claim(at, seen) for at in (key_node, *synonyms)]
        return ClassTemplate(
            str(key_node.value), tuple(names[1:]), self.texts(parts["findings"], f"the findings of {name}")
        )

    def claim(self, node: Node, seen: dict[str, Node]) -> str:
        name = self.text(node, "a name of a class", braces="")
        first = seen.setdefault(key_of(name), node)
        if first is not node:
            found = f"{name!r}, which is also on line {_line(first)}"
            raise self.fault(node, "each name for only one class", found, "delete one of the two")
        return name
