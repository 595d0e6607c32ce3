"""A balanced folder described for programs: Croissant 1.1 with its vocabulary for responsible AI, as JSON-LD."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from balancer.dataset.metadata_files import CARD, ORIGINALS, TABLE, Manifest, Row, names_of, stamps_in
from balancer.dataset.provenance import provenance_rows
from balancer.imaging.decode import EXTENSIONS
from balancer.text import many

CROISSANT = "croissant.json"
CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_TERMS = (
    *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty"),
    *("fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
    *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator"),
    *("source", "subField", "transform"),
)
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS},
}
_MEDIA = {
    **{".parquet": "application/x-parquet", ".csv": "text/csv", ".tsv": "text/tab-separated-values"},
    **{suffix: f"image/{format.lower()}" for suffix, format in EXTENSIONS.items()},
    **dict.fromkeys((".dcm", ".dicom"), "application/dicom"),
}
_ANY = "application/octet-stream"
_COLUMNS = {
    "file_name": "The image, relative to the folder of this table.",
    "label": "The number of the class.",
    "labels": "The numbers of the findings that the image has.",
    "label_set": "The number of the whole set of findings.",
    "is_synthetic": "Whether the image was generated. Synthetic images are only in the training folder.",
    "patient": "The patient or a pseudonym; of a synthetic image the one of the image that it was made from.",
    "sha256": "The SHA-256 of the file.",
    "decision": "What screening or a reader decided about a synthetic image.",
    "model": "The model that generated the image.",
    "prompt": "The prompt that requested it.",
    "seed": "The seed of its noise.",
    "job_id": "The hash of all that decided how it was generated.",
    "mode": "Whether it was made from text alone or from a real image.",
    "source": "The real image that it was made from.",
    "reference": "The real image whose intensities it has.",
    "original_sha256": "The SHA-256 of the collection's file, where a real image is no copy of it.",
}


def describe(folder: Path, manifest: Manifest, rows: Mapping[str, Row], licence: str, name: str = "") -> dict[str, Any]:
    """The description of a balanced folder: files, tables, classes, and what is known of its making.

    `rows` are those of its tables; `name` is the data set's, by default the folder's.

    Raises:
        OSError: a table cannot be read.
    """
    made = [row for row in rows.values() if row.is_synthetic]
    about = f"{many(len(rows) - len(made), 'real X-ray')} of a labelled collection and {many(len(made), 'synthetic')}"
    schemas = {part: pq.read_schema(folder / part / TABLE) for part in manifest.tables}
    names = names_of(next(iter(schemas.values())))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name or folder.resolve().name,
        "description": f"{about} that were added to rarer classes. For research, not for diagnosis.",
        "conformsTo": list(CONFORMS_TO),
        "license": licence,
        "isLiveDataset": False,
        "distribution": [*_files(folder, manifest), *_image_sets(manifest, rows)],
        "recordSet": [
            _classes(names),
            *(_records(part, schema) for part, schema in schemas.items()),
        ],
        **_responsible(folder, manifest, made),
    }


def _files(folder: Path, manifest: Manifest) -> Iterator[dict[str, Any]]:
    for path, sha256 in manifest.files.items():
        if path != CARD:  # its reader may edit it
            yield {
                **{"@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "sha256": sha256},
                "contentSize": f"{(folder / path).stat().st_size} B",
                "encodingFormat": _MEDIA.get(PurePosixPath(path).suffix, _ANY),
            }


def _image_sets(manifest: Manifest, rows: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The images of each folder that has a table."""
    suffixes: dict[str, set[str]] = {part: set() for part in manifest.tables}
    for path in rows:
        first = path.partition("/")[0]
        suffixes[first if first in suffixes else ""].add(PurePosixPath(path).suffix)
    for part, found in suffixes.items():
        yield {
            "@type": "cr:FileSet",
            "@id": f"{_named(part)}-images",
            "includes": [f"{part}/**/*{suffix}" if part else f"**/*{suffix}" for suffix in sorted(found)],
            "encodingFormat": sorted({_MEDIA.get(suffix.lower(), _ANY) for suffix in found}) or [_ANY],
        }


def _classes(names: Sequence[str]) -> dict[str, Any]:
    return {
        **{"@type": "cr:RecordSet", "@id": "classes", "name": "classes", "dataType": "sc:Enumeration"},
        "key": {"@id": "classes/number"},
        "field": [
            {"@type": "cr:Field", "@id": "classes/number", "name": "number", "dataType": "sc:Integer"},
            {"@type": "cr:Field", "@id": "classes/name", "name": "name", "dataType": "sc:Text"},
        ],
        "data": [{"classes/number": number, "classes/name": name} for number, name in enumerate(names)],
    }


def _records(part: str, schema: pa.Schema) -> dict[str, Any]:
    """The columns of one table."""
    name, table = _named(part), f"{part}/{TABLE}" if part else TABLE
    return {
        **{"@type": "cr:RecordSet", "@id": name, "name": name},
        "description": f"One record for each image of {part or 'the folder'}.",
        "field": [_field(name, table, column) for column in schema],
    }


def _field(record_set: str, table: str, column: pa.Field) -> dict[str, Any]:
    several = pa.types.is_list(column.type)
    kind = column.type.value_type if several else column.type
    is_class = column.name in ("label", "labels")
    return {
        **{"@type": "cr:Field", "@id": f"{record_set}/{quote(column.name)}", "name": column.name},
        "description": _COLUMNS.get(column.name, "A finding: 1, 0, or empty where it is uncertain or not known."),
        "dataType": "sc:Boolean" if kind == pa.bool_() else "sc:Text" if kind == pa.string() else "sc:Integer",
        **({"isArray": True, "arrayShape": "-1"} if several else {}),
        "source": {"fileObject": {"@id": table}, "extract": {"column": column.name}},
        **({"references": {"field": {"@id": "classes/number"}}} if is_class and not several else {}),
    }


def _named(part: str) -> str:
    return part or "all"


def _responsible(folder: Path, manifest: Manifest, made: Sequence[Row]) -> dict[str, Any]:
    """How the synthetic images came about, what may bias a model, and whose data these are."""
    facts, ways = manifest.facts, sorted(_ways(folder))
    original = facts.get(ORIGINALS, "copied byte for byte")
    shares = ", ".join(
        f"{label}: {real} real and {synthetic} synthetic"
        for label, (real, synthetic) in manifest.counts.get(manifest.training, {}).items()
    )
    limits = ("Whether a synthetic image shows its label is not proven.", *stamps_in(facts))
    return {
        "rai:hasSyntheticData": bool(made),
        "rai:dataCollection": f"Real images come from a labelled collection ({original}). "
        "How they were taken and labelled is known to its owner.",
        "rai:dataManipulationProtocol": f"Synthetic images: {'; '.join(ways) or 'none'}. "
        f"Screening: {facts.get('screening', 'none')}. provenance.csv has model, prompt, seed, source and scores of "
        "each.",
        "rai:dataAnnotationProtocol": "A real image has the label of the collection, a synthetic image the one that "
        "was requested.",
        "rai:dataBiases": f"Training images: {shares}. Where the share of synthetic images differs between classes, a "
        "model may learn to recognise the generator in place of the disease.",
        "rai:personalSensitiveInformation": "Radiographs of patients: health data. Synthetic images may resemble "
        "training images and are not anonymous. Names of files are those of the collection.",
        "rai:dataLimitations": list(limits),
        "rai:dataUseCases": "Research on training with rare classes. Not for diagnosis. Test on real images alone.",
        "prov:wasDerivedFrom": "the labelled collection of the real images",
        "prov:wasGeneratedBy": [{"@type": "prov:Activity", "sc:description": way} for way in ways],
    }


def _ways(folder: Path) -> Iterator[str]:
    """Each way in which synthetic images were made, with their number."""
    found = Counter(_way(row) for row in provenance_rows(folder))
    yield from (f"{many(count, 'image')} by {way}" for way, count in found.items())


def _way(row: Mapping[str, str]) -> str:
    if row.get("generator") != "balance":
        return "another generator, which is not known"
    adapter = f" with {row['adapter']} (SHA-256 {row['adapter_sha256']})" if row.get("adapter") else ""
    return f"{row.get('model')} (SHA-256 {row.get('model_sha256')}){adapter}, mode {row.get('mode')}"
