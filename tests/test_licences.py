"""Nothing that balance requires is under the GPL: by the metadata of what is installed here."""

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

LONGEST = 200  # letters; what is longer is the text of a licence, which may speak of others
COPYLEFT = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|(?<!Lesser )General Public License", re.IGNORECASE)
EXCEPTION = re.compile(r"GPL-[\w.-]+ WITH GCC-exception[\w.-]+")


def licences(found: Distribution) -> str:
    """What a package says of its licence, but for the parts of a compiler that may go anywhere."""
    said = found.metadata
    texts = [said.get("License-Expression"), said.get("License"), *said.get_all("Classifier", [])]
    short = [text for text in texts if text and len(text) <= LONGEST and not text.startswith("Topic")]
    return EXCEPTION.sub("", "; ".join(text for text in short if "ense" in text or "::" not in text))


def required() -> dict[str, Distribution]:
    """All that pyproject.toml requires, and what that requires, as far as it is installed."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, Distribution] = {}
    pending = [Requirement(text).name for text in project["dependencies"]]
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        needs = (Requirement(text) for text in found[name].requires or ())
        pending += [each.name for each in needs if each.marker is None or each.marker.evaluate({"extra": ""})]
    return found


def test_nothing_required_is_under_the_gpl():
    found = required()
    assert {"pydicom", "pylibjpeg-openjpeg", "pyjpegls", "python-gdcm", "torch"} <= found.keys()
    assert "pylibjpeg-libjpeg" not in found
    assert {name: text for name, each in found.items() if COPYLEFT.search(text := licences(each))} == {}


def test_a_licence_under_the_gpl_would_be_seen():
    assert COPYLEFT.search("GPL-3.0-or-later")
    assert COPYLEFT.search("License :: OSI Approved :: GNU General Public License v3 (GPLv3)")
    assert not COPYLEFT.search("LGPL-2.1; GNU Lesser General Public License; BSD")
