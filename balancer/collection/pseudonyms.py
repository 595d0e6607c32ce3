"""Keyed pseudonyms in the place of patient numbers that headers and tables tell."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

PREFIX = "anon-"
_DIGITS = 16
_OURS = re.compile(rf"{PREFIX}[0-9a-f]{{{_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names that stand for identifiers: with the same key always the same, without it nobody can tell whose.

    `key` is kept in the state folder. HMAC: RFC 2104.

    >>> names = Pseudonyms(b"secret")
    >>> names.of("P7001") == names.of("P7001") != Pseudonyms(b"other").of("P7001")
    True
    >>> names.of(names.of("P7001")) == names.of("P7001")
    True
    """

    key: bytes = field(repr=False)

    def of(self, identifier: str) -> str:
        """The pseudonym of an identifier; that of a pseudonym is itself."""
        if _OURS.fullmatch(identifier):
            return identifier
        return PREFIX + hmac.new(self.key, identifier.encode(errors="replace"), hashlib.sha256).hexdigest()[:_DIGITS]

    def of_patients(self, images: pd.DataFrame, from_names: pd.Series | None = None) -> pd.DataFrame:
        """A table of images with pseudonyms for its patients, unless the file names carry every one of them.

        `from_names` says which patients were found in names. All or none: else one patient would have two names.
        """
        known = images["patient"].notna().to_numpy()
        told = known if from_names is None else known & ~from_names.to_numpy(bool)
        values, paths = images["patient"].to_numpy(object), images.index.to_numpy(object)
        if all(_is_in(value, path) for value, path in zip(values[told], paths[told], strict=True)):
            return images
        codes, distinct = pd.factorize(values)
        names = np.array([*map(self.of, distinct), None], object)
        return images.assign(patient=pd.Series(names[codes], images.index, dtype=object))


def _is_in(value: str, path: str) -> bool:
    """Whether a path holds a value as a piece of its own, or it is a pseudonym already."""
    at = path.find(value)
    if at < 0:
        return _OURS.fullmatch(value) is not None
    end = at + len(value)
    return (
        not (path[at - 1 : at].isalnum() or path[end : end + 1].isalnum())
        or re.search(rf"(?<![^\W_]){re.escape(value)}(?![^\W_])", path) is not None
    )
