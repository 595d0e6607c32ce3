"""Images with several findings: what is known of each finding on each image.

A collection of one class an image has no `LabelSets`, and knows nothing of them. One whose images have several
findings has them beside its table of images, and they are the truth about labels:

- `marks` has a row an image and a column a label of the source: given (1), denied (0), uncertain (-1), not told (-2).
- The label that says that there is no finding ("No Finding", "normal") is no finding: it has a column, since the source
  has one, but is counted for itself. Where it is given, what is not told is denied; devices are not told by it.
- The findings that an image has are its *label set*. The set has a name, `Effusion|Hernia`, which is what stands in the
  column `label` of the table of images. Whatever makes images (jobs, candidates, provenance) goes by sets, as by
  classes elsewhere (the "label powerset" of Tsoumakas and Katakis 2007); whatever counts, splits and judges goes by
  findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.class_names import words_of

GIVEN, DENIED, UNCERTAIN, UNKNOWN = 1, 0, -1, -2
MARK = "|"
"""What stands between the findings of a set's name."""
NO_FINDING = "no finding"
"""The name of the empty set, where the source has no word for it."""
UNCLEAR = ""
"""The name of the set of an image of which no finding is given, and some are uncertain or not told."""
_NOTHING = {
    *(("no", "finding"), ("no", "findings"), ("normal",), ("healthy",), ("none",), ("nothing",), ("unremarkable",)),
    *(("no", "abnormality"), ("no", "abnormalities")),
}
_DEVICES = {("support", "devices"), ("support", "device"), ("devices",), ("device",)}
_LETTERS = {GIVEN: "1", DENIED: "0", UNCERTAIN: "-", UNKNOWN: "?"}
_VALUES = {ord(letter): value for value, letter in _LETTERS.items()}


def set_name(findings: Iterable[str]) -> str:
    """The name of a label set.

    >>> set_name(["Hernia", "Effusion"])
    'Effusion|Hernia'
    """
    return MARK.join(sorted(findings))


def findings_in(name: str) -> tuple[str, ...]:
    """The findings of a set by its name.

    >>> findings_in("Effusion|Hernia")
    ('Effusion', 'Hernia')
    """
    return tuple(name.split(MARK))


def without(finding: str) -> str:
    """What an image is called that is known not to have a finding.

    >>> without("Hernia")
    'no Hernia'
    """
    return f"no {finding}"


def rarest_in(name: str, counts: Mapping[str, int]) -> str:
    """The finding of a set that has the fewest images by `counts`.

    >>> rarest_in("Effusion|Hernia", {"Effusion": 90, "Hernia": 4})
    'Hernia'
    """
    return min(findings_in(name), key=lambda finding: (counts.get(finding, 0), finding))


@dataclass(frozen=True, slots=True)
class LabelSets:
    """What is known of the labels of images that have several.

    `marks` is an int8 table: a row an image, by its path, and a column a label. `nothing` is the label that says that
    there is no finding, None where the source has none.

    >>> sets = LabelSets.of({"a": {"Effusion": 1, "Hernia": 1}, "b": {"Effusion": 0, "Hernia": -1}})
    >>> sets.counts(), sets.names().tolist()
    ({'Effusion': 1, 'Hernia': 1}, ['Effusion|Hernia', ''])
    """

    marks: pd.DataFrame
    nothing: str | None = None

    @classmethod
    def of(cls, marks: Mapping[str, Mapping[str, int]], nothing: str | None = None) -> LabelSets:
        """The label sets of images by path, each with a mark for every label."""
        paths = pd.Index(list(marks), dtype=object, name="path")
        return cls(pd.DataFrame(list(marks.values()), paths, dtype="int8"), nothing)

    @classmethod
    def from_pairs(
        cls, paths: pd.Index, labels: Sequence[str], pairs: Mapping[int, tuple[npt.NDArray[np.int64], ...]]
    ) -> LabelSets:
        """From places of images and labels, by the mark that they have; what is not among them is denied."""
        marks = np.full((len(paths), len(labels)), DENIED, np.int8)
        for value in (UNKNOWN, UNCERTAIN, GIVEN):
            if value in pairs:
                marks[pairs[value]] = value
        table = pd.DataFrame(marks, paths, list(labels))
        return cls(table, nothing_among(table))._denied_by_nothing()

    def _denied_by_nothing(self) -> LabelSets:
        """The same with all denied that is not told of images that are known to have no finding."""
        if self.nothing is None:
            return self
        columns = [name for name in self.findings if words_of(name) not in _DEVICES]
        marks = self.marks[columns].to_numpy()
        without = (self.marks[self.nothing] == GIVEN).to_numpy()[:, None]
        told = pd.DataFrame(np.where(without & (marks == UNKNOWN), np.int8(DENIED), marks), self.marks.index, columns)
        return replace(self, marks=self.marks.assign(**{name: told[name] for name in columns}))

    @property
    def findings(self) -> list[str]:
        """All findings that the source has a word for, those of no image among them, in the order of the alphabet."""
        return sorted(name for name in self.marks.columns if name != self.nothing)

    def only(self, paths: pd.Index) -> LabelSets:
        """The label sets of some of the images, in their order."""
        return self if paths is self.marks.index else replace(self, marks=self.marks.reindex(paths))

    def has(self, value: int = GIVEN) -> pd.DataFrame:
        """Whether each image has this mark for each finding."""
        return self.marks[self.findings] == value

    def counts(self, value: int = GIVEN) -> dict[str, int]:
        """How many images have this mark for each finding."""
        return {str(name): int(count) for name, count in self.has(value).sum().items()}

    def without_finding(self) -> pd.Series:
        """The images that are known to have no finding: by the label that says so, or since all are denied."""
        denied = self.has(DENIED).all(axis=1)
        return denied if self.nothing is None else denied | (self.marks[self.nothing] == GIVEN) & ~self.is_given()

    def is_given(self) -> pd.Series:
        """The images with a finding."""
        return self.has().any(axis=1)

    def of_each(self) -> list[tuple[str, ...]]:
        """The findings of each image."""
        names = np.array(self.findings, object)
        known: dict[bytes, tuple[str, ...]] = {}
        rows = self.has().to_numpy()
        return [
            known[key] if (key := row.tobytes()) in known else known.setdefault(key, tuple(names[row].tolist()))
            for row in rows
        ]

    def names(self) -> pd.Series:
        """The name of each image's set: its findings, else "no finding" in the source's word, else `UNCLEAR`."""
        none = self.nothing or NO_FINDING
        without = self.without_finding().tolist()
        names = [
            set_name(found) if found else none if empty else UNCLEAR
            for found, empty in zip(self.of_each(), without, strict=True)
        ]
        return pd.Series(names, self.marks.index, dtype=object)

    def contradicting(self) -> pd.Index:
        """The images that are said to have no finding and have one all the same, devices aside."""
        if self.nothing is None:
            return self.marks.index[:0]
        diseases = [name for name in self.findings if words_of(name) not in _DEVICES]
        both = (self.marks[self.nothing] == GIVEN) & (self.marks[diseases] == GIVEN).any(axis=1)
        return self.marks.index[both]

    def never_alone(self) -> dict[str, str]:
        """Findings that are never the only one of an image, with the one that is with them most often."""
        has = self.has()
        alone = has[has.sum(axis=1) == 1].any()
        together = co_occurrence(has)
        found = {}
        for name in has.columns[(has.any() & ~alone).to_numpy()]:
            others = together.loc[name].drop(name)
            found[str(name)] = str(others.idxmax())
        return found

    def to_texts(self) -> list[str]:
        """A text for each image, a letter for each label in the order of the columns: 1, 0, - or ?.

        >>> LabelSets.of({"a": {"Mass": 1, "Edema": -2}}).to_texts()
        ['1?']
        """
        table = np.zeros(256, np.uint8)
        for value, letter in _LETTERS.items():
            table[value & 255] = ord(letter)
        letters = table[np.ascontiguousarray(self.marks.to_numpy(np.int8)).view(np.uint8)]
        return [row.tobytes().decode("ascii") for row in letters]

    @classmethod
    def from_texts(cls, paths: pd.Index, texts: Sequence[str], labels: Sequence[str], nothing: str | None) -> LabelSets:
        """The label sets that `to_texts` wrote.

        Raises:
            ValueError: a text has another length, or another letter.
        """
        if any(len(text) != len(labels) or set(text) - {*_LETTERS.values()} for text in set(texts)):
            raise ValueError("no marks")
        values = np.zeros(128, np.int8)
        for letter, value in _VALUES.items():
            values[letter] = value
        letters = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(len(texts), len(labels))
        return cls(pd.DataFrame(values[letters], paths, list(labels)), nothing)


def means_nothing(label: str) -> bool:
    """Whether a label says that there is no finding.

    >>> means_nothing("No Finding"), means_nothing("NORMAL"), means_nothing("abnormal")
    (True, True, False)
    """
    return words_of(label) in _NOTHING


def nothing_among(marks: pd.DataFrame) -> str | None:
    """The label that says that there is no finding: of several, the one that most images have."""
    counts = {str(name): int((marks[name].to_numpy() == GIVEN).sum()) for name in marks if means_nothing(str(name))}
    return max(counts, key=lambda name: (counts[name], name)) if counts else None


def co_occurrence(has: pd.DataFrame) -> pd.DataFrame:
    """How many images have both of two findings; on the diagonal, each."""
    given = has.to_numpy(np.float32)
    return pd.DataFrame((given.T @ given).astype(np.int64), has.columns, has.columns)
