"""Which row of a table is of which file: by path, file name, stem, or the folder that a file lies in.

Rows and files meet in keys: numbers of the texts that both have. A million of each take seconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from balancer.collection.sources.reading import Places

_EXTENSION = re.compile(r"\.(?:png|jpe?g|tiff?|bmp|webp|dcm|dicom|nii|gz)$", re.IGNORECASE)
_ZEROS = re.compile(r"^0+(?=\d)|\.0$")
_ENOUGH = 0.9  # of the files that a looser comparison finds: the stricter one is right
_MOST_FOLDERS = 4
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Match:
    """The key of each row and of each file, -1 where it has none; how they were found, and files that are ambiguous.

    Several rows may have one key, and several files where rows are of folders or studies.
    """

    rows: Places
    files: Places
    keys: int
    how: str
    ambiguous: npt.NDArray[np.bool_]

    @property
    def found(self) -> int:
        """How many files have a row."""
        return int((self.files >= 0).sum())


def match_files(entries: Texts, paths: Sequence[str], strip_prefix: str | None = None) -> Match:
    """Rows to files by what the table says of each file.

    The strictest comparison wins that finds nearly as many files as a looser one: paths may begin above or below the
    collection, names lack their suffix, rows be of folders.
    """
    clean = _cleaned(entries, strip_prefix)
    wanted = min(len(pd.unique(clean)), len(paths)) / 2
    ways: list[Match] = []
    for how, key in _WAYS:
        ways.append(_strictest(list(_folders(clean, paths) if key is None else _levels(clean, paths, how, key))))
        if ways[-1].found and ways[-1].found >= wanted:
            break
    best = max(match.found for match in ways)
    if not best:
        return Match(np.full(len(entries), -1), np.full(len(paths), -1), 0, "", np.zeros(len(paths), bool))
    return next(match for match in ways if match.found >= _ENOUGH * best)


def _strictest(levels: Sequence[Match]) -> Match:
    """The first that finds nearly as many files as any."""
    best = max((match.found for match in levels), default=0)
    return next((match for match in levels if match.found >= _ENOUGH * best), _NOTHING)


def match_keys(entries: Texts, values: Texts, how: str) -> Match:
    """Rows to files by a value that both have, such as a study's number; zeros in front are forgiven where none fits.

    >>> match_keys(np.array(["7", "9"], object), np.array(["007", None], object), "study").rows.tolist()
    [0, -1]
    """
    match = _meet(_stripped(entries), _stripped(values), how)
    if match.found:
        return match
    loose = (
        np.array([_ZEROS.sub("", text) if text else None for text in _stripped(each)], object)
        for each in (entries, values)
    )
    return _meet(*loose, f"{how}, without zeros in front")  # type: ignore[arg-type, call-arg]


def _stripped(texts: Texts) -> Texts:
    return np.array([text.strip() or None if isinstance(text, str) else None for text in texts], object)


def _cleaned(entries: Texts, strip_prefix: str | None) -> Texts:
    prefix = (strip_prefix or "").replace("\\", "/")
    codes, distinct = pd.factorize(entries)
    plain = [re.sub(r"^(?:\.?/)+", "", text.strip().replace("\\", "/").removeprefix(prefix)) for text in distinct]
    return np.array([*plain, ""], object)[codes]


def _meet(entries: Texts, values: Texts, how: str) -> Match:
    """Keys of equal texts; None and "" have none."""
    codes, distinct = pd.factorize(np.concatenate([entries, values]))
    if len(distinct) and (blank := np.flatnonzero(distinct == "")).size:
        codes = np.where(codes == blank[0], -1, codes)
    rows, files = codes[: len(entries)].astype(np.int64), codes[len(entries) :].astype(np.int64)
    there = np.zeros(len(distinct) + 1, bool)
    there[files] = True
    there[-1] = False
    rows = np.where(there[rows], rows, -1)
    asked = np.zeros(len(distinct) + 1, bool)
    asked[rows] = True
    asked[-1] = False
    return Match(rows, np.where(asked[files], files, -1), len(distinct), how, np.zeros(len(values), bool))


def _levels(entries: Texts, paths: Sequence[str], how: str, key: Callable[[str], str]) -> Iterator[Match]:
    """From whole paths down to names alone: the last so many pieces of both are compared."""
    entry_codes, distinct = pd.factorize(entries)
    texts, files = [key(text) for text in distinct], [key(path) for path in paths]
    most = max((text.count("/") + 1 for text in texts), default=0)
    most = min(most, max((text.count("/") + 1 for text in files), default=0))
    for pieces in range(most, 0, -1):
        tails, ours = _tails(texts, pieces), _tails(files, pieces)
        match = _meet(tails, ours, how if pieces == 1 else f"path ({how})")
        yield _unambiguous(
            Match(match.rows[entry_codes], match.files, match.keys, match.how, match.ambiguous), match.rows
        )


def _tails(texts: Sequence[str], pieces: int) -> Texts:
    """The last pieces of each path, None for shorter ones."""
    if pieces == 1:
        return np.array([text[text.rfind("/") + 1 :] for text in texts], object)
    cut = (text.rsplit("/", pieces) if text.count("/") >= pieces - 1 else None for text in texts)
    return np.array([None if each is None else "/".join(each[-pieces:]) for each in cut], object)


def _unambiguous(match: Match, of_texts: Places) -> Match:
    """Without keys that several files have, or that several different entries have."""
    files = np.bincount(match.files[match.files >= 0], minlength=match.keys)
    texts = np.bincount(of_texts[of_texts >= 0], minlength=match.keys)
    wrong = np.append((files > 1) | (texts > 1), False)
    ambiguous = wrong[match.files]
    rows, places = np.where(wrong[match.rows], -1, match.rows), np.where(ambiguous, -1, match.files)
    return Match(rows, places, match.keys, match.how, ambiguous)


def _folders(entries: Texts, paths: Sequence[str]) -> Iterator[Match]:
    """Rows of folders: the one that a file lies in, or one above it."""
    entry_codes, distinct = pd.factorize(entries)
    texts = [text.rstrip("/") for text in distinct]
    most = max((text.count("/") + 1 for text in texts), default=0)
    folder_codes, folders = pd.factorize(np.array([path.rpartition("/")[0] for path in paths], object))
    for above in range(_MOST_FOLDERS):
        shorter = [folder.rsplit("/", above)[0] if folder.count("/") >= above else "" for folder in folders]
        for pieces in range(most, 0, -1):
            match = _meet(_tails(texts, pieces), _tails(shorter, pieces), "folder")
            yield _of_folders(match, entry_codes, folder_codes, np.array(shorter, object))


def _of_folders(match: Match, entry_codes: Places, folder_codes: Places, folders: Texts) -> Match:
    """A key of folders becomes one of all files in them; different folders of one key are ambiguous."""
    pairs = pd.DataFrame({"key": match.files, "folder": folders})[match.files >= 0].drop_duplicates()
    wrong = np.append(np.bincount(pairs["key"], minlength=match.keys) > 1, False)
    texts = np.bincount(match.rows[match.rows >= 0], minlength=match.keys)
    wrong |= np.append(texts > 1, False)
    files, rows = match.files[folder_codes], match.rows[entry_codes]
    ambiguous = wrong[files]
    return Match(np.where(wrong[rows], -1, rows), np.where(ambiguous, -1, files), match.keys, match.how, ambiguous)


_NOTHING = Match(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, "", np.zeros(0, bool))
_WAYS: tuple[tuple[str, Callable[[str], str] | None], ...] = (
    ("file name", lambda text: text),
    ("stem", lambda text: _EXTENSION.sub("", text)),
    ("stem in any case", lambda text: _EXTENSION.sub("", text).casefold()),
    ("folder", None),
)
"""How rows are compared with files, the strictest first."""
