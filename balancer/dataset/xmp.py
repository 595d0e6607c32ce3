"""What a synthetic image says of itself: an XMP packet with IPTC's digital source type and where it comes from."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from balancer import __version__
from balancer.imaging.decode import read_xmp
from balancer.jobs import Job

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
OURS = "urn:xray-balancer:provenance:1#"
SOURCE_TYPE = "cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": RDF,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": IPTC,
    "balance": OURS,
}
for _prefix, _uri in _NAMESPACES.items():
    ET.register_namespace(_prefix, _uri)
_LARGEST = 1 << 20  # bytes; ours have two thousand
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FRAME = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{}\n<?xpacket end="r"?>'


def make_xmp(candidate_label: str, job: Job | None, *, composite: bool = False) -> bytes:
    """The packet for a synthetic image of a class; `job` is `None` for one that was made elsewhere.

    `composite`: it was made from a real image, which is known without a job too.

    It is the same at any time on any machine. It names no file and no patient: whoever gets the image alone may not
    be meant to know them.

    >>> b"trainedAlgorithmicMedia" in make_xmp("<script>", None), b"<script>" in make_xmp("<script>", None)
    (True, False)
    """
    composite = composite or (job is not None and job.method.source is not None)
    meta = ET.Element("{adobe:ns:meta/}xmpmeta")
    about = ET.SubElement(ET.SubElement(meta, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    _add(about, f"{{{_NAMESPACES['xmp']}}}CreatorTool", f"balance {__version__}")
    _add(about, f"{{{IPTC}}}DigitalSourceType", f"http://{SOURCE_TYPE}{SYNTHETIC[composite]}")
    for name, value in _fields(candidate_label, job).items():
        _add(about, f"{{{OURS}}}{name}", value)
    return _FRAME.format(ET.tostring(meta, encoding="unicode")).encode()


def read_provenance(path: Path) -> dict[str, str] | None:
    """What an image says of its own origin, or `None` where it does not call itself synthetic.

    Raises:
        ImageError: the file is no readable image.
    """
    packet = read_xmp(path)
    return None if packet is None else parse_xmp(packet)


def parse_xmp(packet: bytes) -> dict[str, str] | None:
    """Read the provenance from the bytes of a packet; `None` where it is not XML, or attacks its reader.

    >>> parse_xmp(make_xmp("nodule", None))["label"]
    'nodule'
    """
    if len(packet) > _LARGEST:
        return None
    try:
        root = fromstring(packet.strip(b"\0 \r\n"))
    except (ET.ParseError, DefusedXmlException, ValueError):
        return None
    found = dict(_properties(root))
    kind = found.get(f"{{{IPTC}}}DigitalSourceType", "").strip().rpartition("/")
    if not kind[0].endswith(SOURCE_TYPE.rstrip("/")) or kind[2] not in SYNTHETIC:
        return None
    ours = {name.removeprefix(f"{{{OURS}}}"): text for name, text in found.items() if name.startswith(f"{{{OURS}}}")}
    return {"digital_source_type": kind[2], **ours}


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = _NOT_XML.sub("\ufffd", text)


def _fields(label: str, job: Job | None) -> dict[str, str]:
    if job is None:
        return {"label": label, "generator": "external"}
    config, method = job.config, job.method
    optional = {
        "adapter": config.adapter and config.adapter.name,
        "adapter_sha256": config.adapter and config.adapter.sha256,
        "source_sha256": method.source and method.source.sha256,
        "strength": method.strength and f"{method.strength:g}",
        "mask": method.mask and f"{config.width}x{config.height} {method.mask}",
        "reference_sha256": method.reference and method.reference.sha256,
    }
    return {
        "label": label,
        "job_id": job.id,
        "model": config.model.name,
        "model_sha256": config.model.sha256,
        "seed": str(job.seed),
        "mode": method.mode,
        "prompt": job.prompt.text,
        **{name: value for name, value in optional.items() if value},
    }


def _properties(root: ET.Element) -> Iterator[tuple[str, str]]:
    """XMP allows a property as an element, as a link and as an attribute."""
    for element in root.iter():
        yield from element.attrib.items()
        yield element.tag, element.get(f"{{{RDF}}}resource", element.text or "")
