"""The dataset card of a balanced folder: what is in it, what is synthetic, and what nobody has checked."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

import yaml

from balancer import __version__
from balancer.jobs import Candidate

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$:-])")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]+")
_EXAMPLES = 3

Counts = Mapping[str, Mapping[str, tuple[int, int]]]


def make_card(
    name: str, counts: Counts, candidates: Sequence[Candidate], facts: Mapping[str, str], *, several: bool = False
) -> bytes:
    """`README.md` for (real, synthetic) counts by folder and class; `facts` are what is known about the run.

    With `several`, counts are of findings of which an image may have several or none.
    """
    sections = [
        _front_matter(name, counts),
        f"# {plain(name)}, balanced\n\n{_INTRODUCTION}",
        "## Content\n\n" + (_FINDINGS + _table(counts, "finding") if several else _table(counts)),
        "## How to recognise synthetic images\n\n" + _RECOGNISING,
        "## Origin of the synthetic images\n\n" + _origins(candidates),
        "## What is known about this run\n\n" + _facts(facts),
        "## What is not known\n\n" + _LIMITS,
    ]
    return ("\n\n".join(sections) + "\n").encode()


def plain(text: str) -> str:
    """Text from the user's disk as text and nothing else: no Markdown, no HTML, no control characters.

    >>> print(plain("<b>|a_b|"))
    &lt;b&gt;\\|a\\_b\\|
    """
    return _MARKDOWN.sub(r"\\\1", html.escape(_UNPRINTABLE.sub("\ufffd", text), quote=False))


def _front_matter(name: str, counts: Counts) -> str:
    total = sum(sum(pair) for labels in counts.values() for pair in labels.values())
    size = next((text for limit, text in _SIZES if total < limit), "n>10M")
    content = {
        "license": "unknown",
        "pretty_name": f"{_UNPRINTABLE.sub(' ', name)}, balanced",
        "tags": ["synthetic", "medical", "x-ray"],
        "task_categories": ["image-classification"],
        "size_categories": [size],
        "annotations_creators": ["found", "machine-generated"],
    }
    return "---\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000) + "---"


def _table(counts: Counts, what: str = "class") -> str:
    lines = [f"| folder | {what} | real | synthetic |", "| --- | --- | ---: | ---: |"]
    for folder, labels in counts.items():
        for label, (real, synthetic) in labels.items():
            lines.append(f"| {plain(folder or '.')} | {plain(label)} | {real} | {synthetic} |")
    return "\n".join(lines)


def _origins(candidates: Sequence[Candidate]) -> str:
    jobs = [candidate.job for candidate in candidates if candidate.job is not None]
    models = {ref for job in jobs for ref in (job.config.model, job.config.adapter) if ref is not None}
    lines = [
        f"- {plain(ref.name)}, revision {plain(ref.revision or 'none (a local folder)')}, SHA-256 `{ref.sha256}`"
        for ref in sorted(models, key=lambda ref: (ref.name, ref.sha256))
    ]
    if len(jobs) < len(candidates):
        lines.append(f"- made by another generator, which is not known: {len(candidates) - len(jobs)}")
    prompts = _first_prompts((job.label, job.prompt.text) for job in jobs)
    if prompts:
        lines += ["", "Some of the prompts:", "", *(f"- {plain(text)}" for text in prompts)]
    return "\n".join(lines) or "There are none."


def _first_prompts(prompts: Iterable[tuple[str, str]]) -> list[str]:
    """One prompt of each of the first classes."""
    first: dict[str, str] = {}
    for label, text in prompts:
        first.setdefault(label, text)
    return list(first.values())[:_EXAMPLES]


def _facts(facts: Mapping[str, str]) -> str:
    known = {"tool": f"balance {__version__}", **facts}
    return "\n".join(f"- {plain(key)}: {plain(value)}" for key, value in sorted(known.items()))


_INTRODUCTION = """\
X-rays of a labelled collection, copied byte for byte, and synthetic X-rays that were added to its rarer classes.
**For research. Not for diagnosis, and not for training of anything that diagnoses without a test on real images that
no synthetic image was made from.**"""

_FINDINGS = """\
Images are in `images/` of each split. An image may have several findings or none, so numbers do not add up. In
`metadata.parquet`, `labels` lists the findings of an image, and each finding has a column: 1, 0, or null where it is
uncertain, not known, or perhaps removed by an edit.

"""

_RECOGNISING = """\
Synthetic images are only in the training folder. Each is named `syn-...`, has `is_synthetic` set in
`metadata.parquet`, a row in `provenance.csv` (model, prompt, seed, source, scores, who accepted it), and says
so in its XMP (IPTC `DigitalSourceType`), except in BMP files, which have no room for it. The name and the XMP
can be lost when a file is changed: rely on the tables.

- `balance verify FOLDER` checks every file against the tables
- `balance explain FILE` shows where one image comes from
- `balance unmerge FOLDER` removes the synthetic images; the copied originals remain"""

_LIMITS = """\
- The licence and the terms of use of the collection: those of its owner, also for everything derived from it.
- Whether a synthetic image shows its label. The prompt requested it; a score or a reviewer may have confirmed it.
- Whether a synthetic image resembles a patient, beyond the facts above and the scores in `provenance.csv`.
- What the generator was trained on before it was adapted here."""
