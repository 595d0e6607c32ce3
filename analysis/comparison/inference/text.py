"""What synthetic images are worth in real ones, in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.comparison.inference.real_image_equivalent import Exchange, Worth


def sentence(found: Exchange) -> str:
    """What an arm is worth, its interval, and what that leaves open."""
    if not found.rises:
        return (
            f"More real images of {found.label} did not measurably help on this test split. The real-image equivalent "
            f"of {found.arm} is therefore unknown."
        )
    images, patients = found.images, found.patients
    size = f"{_count(images, images.mean)} {_real(images)} {found.label} {_span(images)}"
    of = f", or {_count(patients, patients.mean)} {_compared(patients)} patients {_span(patients)}"
    return f"{found.arm} is worth {_worth(images)}{size}{of}.{_open(images)}"


def as_json(found: Exchange) -> dict[str, Any]:
    """What an arm is worth, its words and the curve, for a program."""
    worth = {name: asdict(each) for name, each in (("images", found.images), ("patients", found.patients))}
    return {
        **worth,
        "sentence": sentence(found),
        "arm": found.arm,
        "label": found.label,
        "rises": found.rises,
        "curve": [asdict(each) for each in found.curve],
    }


def _worth(worth: Worth) -> str:
    return "less than none: the result is as with " if round(worth.mean) < 0 else ""


def _compared(worth: Worth) -> str:
    return "fewer" if round(worth.mean) < 0 else "more"


def _real(worth: Worth) -> str:
    return f"{_compared(worth)} real images of"


def _count(worth: Worth, value: float) -> str:
    """A number without its sign, and whether it is where the curve ends.

    The curve ends above at twice its largest size, and below at its smallest.
    """
    if value >= worth.most - 1e-6:
        return f"more than {worth.most:.0f}"
    if value <= worth.least + 1e-6:
        return f"at least {-worth.least:.0f}"
    return f"about {abs(round(value))}"


def _span(worth: Worth) -> str:
    """The interval, of numbers with signs; "more than" where the curve ends."""
    low = f"{round(worth.low)}" if worth.low > worth.least + 1e-6 else f"{worth.least:.0f} or less"
    high = f"{round(worth.high)}" if worth.high < worth.most - 1e-6 else f"more than {worth.most:.0f}"
    low = low if worth.low < worth.most - 1e-6 else f"more than {worth.most:.0f}"
    high = high if worth.high > worth.least + 1e-6 else f"{worth.least:.0f} or less"
    return f"[95%: {low} to {high}]" if low != high else f"[95%: {low}]"


def _open(worth: Worth) -> str:
    """What the interval does not rule out, and what was not measured."""
    text = ""
    if round(worth.low) <= 0 <= round(worth.high):
        text = " This is not shown to differ from zero."
    if worth.mean >= worth.most - 1e-6:
        return f"{text} This is beyond the curve, which is extrapolated to at most twice the real images."
    return f"{text} Above the number of real images, the curve is extrapolated." if round(worth.high) > 0 else text
