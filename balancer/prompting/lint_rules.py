"""The patterns of the prompt lint: what each looks for, why it is wrong, and the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern that a text should not hold."""

    severity: Literal["error", "warning"]
    kind: str
    pattern: re.Pattern[str]
    message: str
    fix: str

    def as_warning(self) -> Rule:
        """The rule as a warning instead of an error."""
        return replace(self, severity="warning")


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_CODED = r"(?:redacted|removed|phi|name|date|time|age|id|mrn|hospital|patient|doctor|physician|location|phone|address)"

TEXT_RULES = (
    Rule(
        *("error", "de-identified"),
        _any(r"_{3,}", r"\[\*\*.*?\*\*\]", r"\bX{4,}\b", r"\*{3,}", rf"[\[<]\W*{_CODED}\w*\W*[\]>]", r"\bredacted\b"),
        "a mark left by de-identification; the model reads it as a word",
        "replace it by a general description, or delete it",
    ),
    Rule(
        *("error", "placeholder"),
        _any(
            r"\{[^{}]*\}?",
            r"\}",
            r"<[a-z][\w -]*>",
            r"\[[a-z][\w -]*\]",
            r"\bXXX\b",
            r"(?-i:\bTODO\b)|^to-?do\b:?$|\bfixme\b|\bTBD\b",
            r"\?{3,}|%s\b|\$\{?[a-z]\w*|lorem ipsum|\bto be filled in\b|^fill in\b|\bplaceholder\b",
        ),
        "a placeholder that was not replaced",
        "write the text that belongs there",
    ),
    Rule(
        *("error", "identifier"),
        _any(
            r"\b(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12]\d|3[01])\b",
            r"\b\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d\d\b",
            r"\b\d{1,2}[-/]\d{1,2}[-/]\d\d\b",
            rf"\b\d{{1,2}}(?:st|nd|rd|th)?\.?\s+{_MONTH}\.?,?\s+(?:19|20)?\d\d\b",
            rf"\b{_MONTH}\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+(?:19|20)\d\d\b",
            r"\b\d+(?:\.\d+){5,}\b",
            r"(?<![\d.])\d{6,}(?!\d)",
            r"\b(?:MRN|accession|patient id|case id|study id|SSN|NHS|DOB|date of birth|born)\b\W*(?:no\b|number\b)?\W*"
            r"[a-z]{0,4}-?\d{2,}",
            r"[\w.+-]+@[\w-]+\.[a-z]{2,}",
            r"(?-i:\b(?:Dr|Mr|Mrs|Ms|Miss|Prof)\b\.?\s+[A-Z][a-z]+)",
            r"(?i:\b(?:patient|name)\s*:)\s*(?-i:[A-Z][a-z]+)",
        ),
        "looks like a date, a number or a name of a person; prompts are stored in every generated image",
        "delete it",
    ),
)

# Only what is asked for: a negative may well name other modalities.
POSITIVE_RULES = (
    Rule(
        *("warning", "other-modality"),
        _any(
            r"\bMRI\b|\bmagnetic resonance\b|(?-i:\bMR\b)|\bT[12][- ]weighted\b",
            r"\bCTs?\b|\bcomputed tomogra\w*|\bcomputerised tomogra\w*|\bcomputerized tomogra\w*",
            r"\bultrasound\b|\bultrasonic\b|\bultrasonogra\w*|\bsonogra\w*|\bechocardiogra\w*|\bdoppler\b",
            r"(?-i:\bPETs?\b|\bSPECT\b)|\bscintigra\w*|\bbone scans?\b|\bendoscop\w*|\bhistolog\w*|\bmicroscopy\b",
        ),
        "a modality other than X-ray",
        "write radiograph, and what it shows",
    ),
    Rule(
        *("warning", "ambiguous-modality"),
        _any(
            r"\bCAT[- ]?scans?\b|\bcat\b",
            r"(?<!bone )\bscans?\b",
            r"(?<!plain )(?<!chest )(?<!x-ray )(?<!xray )(?<!radiographic )\bfilms?\b",
            r"\bphoto(?:graph)?s?\b|\bselfie\b",
        ),
        "may mean something other than a radiograph to a model trained on photographs",
        "say radiograph",
    ),
    Rule(
        *("warning", "modality-misspelt"),
        _any(
            r"\b(?:xay|xry|xary|xrya|xra|xrau|xrat|xrsy|xrey|xrray|xraay|xrayy|x-?rya|x-?ary|x-ay|x-ry|x-rey|x-rau)s?\b"
        ),
        "looks like X-ray with a spelling error",
        "write radiograph (or X-ray)",
    ),
    Rule(
        *("warning", "negation"),
        _any(
            r"\b(?:no|not|without|w/o|never|none|neither|nor|cannot|isn't|doesn't)\b",
            r"\babsen(?:t|ce)\b|\black(?:s|ing)? of\b|\black(?:s|ing)\b|\b(?:free|devoid) (?:of|from)\b",
            r"\bnegative for\b|\brul(?:e|es|ed|ing) out\b|\bexclud(?:es|ed|ing)\b",
        ),
        "the text encoder of the model ignores a negation and generates the rest",
        "write what is visible instead, such as 'clear lungs'",
    ),
)

SIDES = Rule(
    *("warning", "side"),
    _any(r"\b(?:left|right)\b", r"\b[LR][- ]marker\b", r"\b(?:dextro|levo)\w+", r"\bsitus\b", r"\blaterality\b"),
    "a side is named, but images are mirrored in training: the model would learn the wrong side",
    "name no side, or train without mirroring",
)

# Guidance moves images away from the negative. A radiograph is grey, shows bones and is medical: none of these may be
# in it. "medical illustration" is another thing than "medical", and "dark", "noisy" or "grainy" images exist.
NEGATIVE_RULES = (
    Rule(
        *("error", "negative-fights-xrays"),
        _any(
            r"\bmonochrom\w*",
            r"\bgr[ae]y[- ]?scale\w*|\bgr[ae]y\b|\bshades of gr[ae]y\b",
            r"\bblack[- ]?(?:and|&|n)[- ]?white\b|\bb ?[&/] ?w\b|\bbw\b",
            r"\bcolou?rless\b|\bdesaturated\b|\b(?:no|without|lack of|missing) colou?rs?\b|\bunsaturated\b",
            r"\bx[- ]?rays?\b|\bradiogra\w*|\broentgen\w*|\bröntgen\w*|\bradiolog\w*|\bplain film\b",
            r"\bskelet\w+|\bbones?\b|\bbony\b|\bribs?\b|\bribcage\b|\bspine\b|\bskulls?\b",
            r"\blungs?\b|\bthora(?:x|cic)\b|\bchest\b|\borgans?\b",
            r"\blow[- ]contrast\b|\bsoft contrast\b|\bhigh[- ]contrast\b",
            r"\b(?:black|dark) background\b|\btransparen\w+|\btranslucen\w+|\bsee[- ]through\b|\bprojection\b",
            r"\bmedical\b|\bclinical\b|\bdiagnostic\b",
        ),
        "radiographs look like this; as a negative prompt it moves images away from radiographs",
        "remove it from the negative prompt",
    ),
    Rule(
        *("warning", "negative-fights-xrays"),
        _any(r"\bgrain(?:y|s)?\b|\bnois[ey]\b|\bdark\b|\binverted\b|\bflat\b|\bout of focus background\b"),
        "real radiographs can look like this",
        "remove it from the negative prompt, unless you have tested that it helps",
    ),
)
RENDERED = _any(
    r"\b(?:draw\w*|illustrat\w*|paint\w*|cartoons?|sketch\w*|diagrams?|posters?|toys?|models?|render\w*|3d)\b",
    r"\b(?:colou?red|tattoos?|costumes?|distorted|deformed|duplicated|extra|missing|fake|malformed|logos?|text)\b",
)

# Said in the findings of one class alone, these tell the class by something that is not the disease.
SAID_OF_ALL = _any(
    r"(?-i:\bAP\b|\bPA\b)|\banteroposterior\b|\bposteroanterior\b",
    r"\b(?:lateral|frontal|oblique|axial) (?:view|projection)",
    r"\bportable\b|\bbedside\b|\bsupine\b|\berect\b|\bupright\b|\bdecubitus\b",
    r"\b(?:child|children|infants?|neonates?|neonatal|newborns?|paediatric|pediatric|adults?|elderly|adolescents?)\b",
    r"\b(?:male|female|man|woman|men|women|boys?|girls?)\b|\byears?[- ]old\b",
    r"\b(?:overexposed|underexposed|high contrast|soft contrast|standard exposure|digital radiography)\b",
)
MODALITY_WORDS = frozenset(
    word + end for word in ("radiograph", "roentgenogram", "xray") for end in ("", "s", "y", "ic", "ical", "ically")
)
