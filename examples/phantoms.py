"""Radiographs of nobody: simple 3-D anatomy, projected by the law of Beer and Lambert.

Every random thing is drawn first into a frozen dataclass (the truth), and then computed without chance.
Solids are convex, so that a beam meets each in one interval and its path has a closed form: no voxel is
needed. Axes, in cm: x to the right of the image, y down, z along the beam. Attenuation per cm is that of
about 60 keV, rounded from NIST's tables (Hubbell and Seltzer 1995, doi:10.18434/T4D01F).
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import count
from math import cos, hypot, pi, sin, sqrt
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

CHEST = ("normal", "consolidation", "pleural_effusion", "cardiomegaly", "nodule")
FOREARM = ("intact", "fractured")
TISSUE, LUNG, CORTEX, SPONGY, MARROW = 0.20, 0.06, 0.55, 0.34, 0.21  # attenuation per cm
_REGIONS = "image,finding,x,y,width,height"
BEAMS = 2  # per pixel and side: the detector averages their intensities

Map = npt.NDArray[np.floating]  # float32 throughout: half the time of float64
Grey = npt.NDArray[np.uint8]


def _between(low: float, high: float) -> Any:
    """A field that `_drawn` fills evenly between two bounds."""
    return field(metadata={"between": (low, high)})


@dataclass(frozen=True, slots=True)
class Consolidation:
    """An opaque, patchy part of one lung; (u, v) is its place there, in the lung's half axes."""

    side: int  # -1: the lung left in the image, 1: the right one
    grain: int  # seed of its texture
    u: float = _between(-0.1, 0.35)
    v: float = _between(-0.5, 0.1)
    radius_cm: float = _between(3.0, 4.3)
    stretch: float = _between(0.75, 1.25)
    density: float = _between(0.6, 0.85)  # share of the air that fluid replaced


@dataclass(frozen=True, slots=True)
class Effusion:
    """Fluid in the pleural space: how high it stands above each dome (0: none) and climbs the wall."""

    left_cm: float
    right_cm: float
    meniscus_cm: float = _between(1.5, 3.5)


@dataclass(frozen=True, slots=True)
class Nodule:
    """A dense, calcified ball in one lung; (u, v) as for a Consolidation."""

    side: int
    u: float = _between(0.0, 0.5)
    v: float = _between(-0.5, 0.05)
    radius_cm: float = _between(1.05, 1.35)
    attenuation: float = _between(0.52, 0.62)


Finding = Consolidation | Effusion | Nodule


@dataclass(frozen=True, slots=True)
class LookAlike:
    """Something in the lungs that is no finding but is seen as a bright spot: an ellipse, perhaps hollow."""

    side: int
    radius_cm: float
    stretch: float  # its length over its width
    hollow: float  # share of the radius
    depth: float  # attenuation, summed along the beam through its middle
    u: float = _between(-0.2, 0.65)  # its place as that of a Nodule
    v: float = _between(-0.6, 0.25)
    turn: float = _between(0, pi)  # radians


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard a nodule is to tell; by default nothing is changed.

    `contrast` scales what a nodule or a consolidation attenuates, `size` how large a nodule and all that looks like one
    is. `log_photons` are added to those of the exposure: below 0 is more noise. `vessels` (seen end-on),
    `calcifications`, `scars` and `electrodes` are the fewest and the most in every patient, whatever the label.
    """

    contrast: float = 1.0
    size: float = 1.0
    log_photons: float = 0.0
    vessels: tuple[int, int] = (0, 0)
    calcifications: tuple[int, int] = (0, 0)
    scars: tuple[int, int] = (0, 0)
    electrodes: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Chest:
    """One patient's chest, in cm where nothing else is said."""

    cardiothoracic_ratio: float  # widest heart over widest thorax (Danzer 1919): above 0.5 is enlarged
    ribs: int
    vessels: tuple[tuple[float, float, float], ...]  # angle, length, radius
    grain: int  # seed of the lungs' texture
    findings: tuple[Finding, ...]
    half_width: float = _between(11.8, 14.0)  # of the thorax's inside
    lung_half_height: float = _between(12.8, 14.6)
    lung_half_depth: float = _between(7.4, 9.2)
    lean: float = _between(0.08, 0.16)  # of the lungs to the midline, cm per cm
    wall: float = _between(1.4, 3.2)
    mediastinum: float = _between(2.3, 2.9)  # half width
    heart_aspect: float = _between(0.68, 0.82)
    heart_angle: float = _between(0.5, 0.8)  # radians below the horizontal
    heart_offset: float = _between(0.28, 0.38)  # of its centre, in its half width
    dome: float = _between(6.0, 8.2)  # y of the right diaphragm's top
    dome_step: float = _between(0.4, 1.6)  # by how much the left one is lower
    rib_spacing: float = _between(1.95, 2.35)
    rib_radius: float = _between(0.5, 0.62)
    rib_drop: float = _between(0.26, 0.4)
    bone: float = _between(0.85, 1.2)  # mineral: 1 is usual
    clavicle: float = _between(-9.8, -8.4)  # y of its inner end
    look_alikes: tuple[LookAlike, ...] = ()

    @property
    def finding(self) -> Finding | None:
        """The first finding beside the heart's size; None where there is none."""
        return self.findings[0] if self.findings else None

    @property
    def heart_half_width(self) -> float:
        """Half the heart's width in the image, cm."""
        return self.cardiothoracic_ratio * self.half_width


@dataclass(frozen=True, slots=True)
class Break:
    """Where one shaft is broken (y, cm), and how its distal part has moved."""

    way: int
    at: float
    gap: float = _between(0.4, 0.65)
    shift: float = _between(0.5, 0.9)
    angle: float = _between(0.06, 0.2)  # radians
    slope: float = _between(-0.7, 0.7)  # of the line of fracture: 0 is transverse


@dataclass(frozen=True, slots=True)
class Forearm:
    """One patient's forearm, wrist below, in cm: two hollow shafts, whole or broken."""

    side: int
    carpals: tuple[tuple[float, float, float], ...]  # x, y below the wrist, radius
    radius: Break | None
    ulna: Break | None
    shaft: float = _between(0.62, 0.8)  # outer radius
    cortex: float = _between(0.28, 0.42)  # share of that radius
    apart: float = _between(1.2, 1.45)
    bow: float = _between(0.15, 0.5)
    wrist: float = _between(4.2, 5.6)
    flesh: float = _between(3.4, 4.2)  # half width
    bone: float = _between(0.85, 1.15)


@dataclass(frozen=True, slots=True)
class Exposure:
    """One image of a patient: pose (radians), place and field (shares of a usual field), beam and display."""

    noise: int  # seed of the quantum noise
    roll: float = _between(-1, 1)
    yaw: float = _between(-0.08, 0.08)
    tilt: float = _between(-0.08, 0.08)
    shift_x: float = _between(-0.025, 0.025)
    shift_y: float = _between(-0.025, 0.025)
    field: float = _between(0.95, 1.06)
    log_photons: float = _between(4.7, 5.5)  # log10 per pixel of a 64-pixel detector, behind no patient
    scatter: float = _between(0.15, 0.4)  # scattered over primary
    blur: float = _between(0.25, 0.5)  # of the detector, in 1/64 of the image
    black: float = _between(-0.05, 0.05)
    white: float = _between(0.97, 1.1)
    gamma: float = _between(0.85, 1.2)


T = TypeVar("T", Consolidation, Effusion, Nodule, LookAlike, Chest, Break, Forearm, Exposure)


def _drawn(kind: type[T], g: np.random.Generator, **known: Any) -> T:
    """Draw every field that has bounds, in their order; the others are known."""
    bounds = {f.name: f.metadata["between"] for f in fields(kind) if f.metadata}
    return kind(**known | {name: float(g.uniform(*between)) for name, between in bounds.items()})


USUAL = Difficulty()
HARD = Difficulty(size=1.5, vessels=(2, 5), calcifications=(1, 3), scars=(0, 2), electrodes=(0, 2))
"""Of 20 nodules a small network at 64 px makes an AUPRC of about 0.7, of 300 over 0.9: tests.benchmarks.yardstick."""
DIFFICULTIES = {"usual": USUAL, "hard": HARD}
LOOK_ALIKES = {  # least and most radius in cm, length over width, hollow share, attenuation along the beam
    "vessels": ((0.5, 0.8), (1.0, 1.3), (0.0, 0.0), (0.6, 1.2)),
    "calcifications": ((0.4, 0.75), (1.0, 1.3), (0.0, 0.0), (1.0, 2.0)),
    "scars": ((0.5, 0.8), (2.2, 3.5), (0.0, 0.0), (0.8, 1.6)),
    "electrodes": ((1.1, 1.4), (1.0, 1.0), (0.5, 0.7), (1.2, 1.8)),
}


def _index(label: str, labels: tuple[str, ...]) -> int:
    if label not in labels:
        raise ValueError(f"unknown label {label!r}: it is one of {', '.join(labels)}")
    return labels.index(label)


def _labels(label: str) -> list[str]:
    """The findings of a label that may name several."""
    found = label.split("|")
    if len(found) != len(set(found)) or (len(found) > 1 and "normal" in found):
        raise ValueError(f"findings that go together, each once, are needed: {label!r}")
    return found


def draw_chest(label: str, patient: int, seed: int = 0, difficulty: Difficulty = USUAL) -> Chest:
    """A patient's chest, by chance; `label` changes the findings or the heart and nothing else.

    Of several findings, with | between, each is as it would be alone. Raises ValueError for a label not in CHEST, for
    "normal" beside another, or for a negative number.

    >>> draw_chest("cardiomegaly", 7).cardiothoracic_ratio > 0.55
    True
    >>> len(draw_chest("cardiomegaly|nodule|pleural_effusion", 7).findings)
    2
    """
    ratio, findings = 0.0, []
    for each in _labels(label):
        g = np.random.default_rng([seed, 2, patient, _index(each, CHEST)])
        enlarged, finding = g.uniform(0.58, 0.68), _draw_finding(each, g)
        ratio = float(enlarged) if each == "cardiomegaly" else ratio
        findings += [] if finding is None else [_as_hard(finding, difficulty)]
    g = np.random.default_rng([seed, 1, patient])
    usual, ribs, grain = g.uniform(0.40, 0.48), int(g.integers(9, 11)), int(g.integers(2**31))
    angles = np.linspace(-1.25, 1.35, 6) + g.uniform(-0.15, 0.15, 6)
    vessels = tuple((float(a), float(g.uniform(3.5, 6.5)), float(g.uniform(0.36, 0.5))) for a in angles)
    known = {"cardiothoracic_ratio": ratio or float(usual), "findings": tuple(findings)}
    known["look_alikes"] = _draw_look_alikes(difficulty, np.random.default_rng([seed, 7, patient]))
    return _drawn(Chest, g, ribs=ribs, vessels=vessels, grain=grain, **known)


def _as_hard(finding: Finding, d: Difficulty) -> Finding:
    """The finding with the contrast and size of a difficulty."""
    if isinstance(finding, Nodule):
        attenuation = LUNG + d.contrast * (finding.attenuation - LUNG)
        return replace(finding, attenuation=attenuation, radius_cm=d.size * finding.radius_cm)
    return replace(finding, density=d.contrast * finding.density) if isinstance(finding, Consolidation) else finding


def _draw_look_alikes(difficulty: Difficulty, g: np.random.Generator) -> tuple[LookAlike, ...]:
    """What looks like a nodule, by chance: as many of each kind as the difficulty says."""
    found = []
    for kind, (radius, *bounds) in LOOK_ALIKES.items():
        least, most = getattr(difficulty, kind)
        for _ in range(int(g.integers(least, most + 1))):
            side, radius_cm = int(g.choice([-1, 1])), difficulty.size * float(g.uniform(*radius))
            stretch, hollow, depth = (float(g.uniform(*each)) for each in bounds)
            sizes = {"radius_cm": radius_cm, "stretch": stretch, "hollow": hollow, "depth": depth}
            found.append(_drawn(LookAlike, g, side=side, **sizes))
    return tuple(found)


def _draw_finding(label: str, g: np.random.Generator) -> Finding | None:
    side, grain = int(g.choice([-1, 1])), int(g.integers(2**31))
    if label == "consolidation":
        return _drawn(Consolidation, g, side=side, grain=grain)
    if label == "pleural_effusion":
        levels = [float(g.uniform(3.5, 8.5)), float(g.uniform(2.5, 6.0) * (g.random() < 0.35))][::-side]
        return _drawn(Effusion, g, left_cm=levels[0], right_cm=levels[1])
    return _drawn(Nodule, g, side=side) if label == "nodule" else None


def draw_forearm(label: str, patient: int, seed: int = 0) -> Forearm:
    """A patient's forearm, by chance; `label` changes only whether it is broken.

    Raises ValueError for a label not in FOREARM, or a negative number.

    >>> draw_forearm("intact", 3).radius is None
    True
    """
    g = np.random.default_rng([seed, 4, patient, _index(label, FOREARM)])
    broken = {"intact": (), "fractured": [("radius",), ("ulna",), ("radius", "ulna")][g.integers(3)]}[label]
    at, way = float(g.uniform(-3.0, 1.5)), int(g.choice([-1, 1]))
    near = {bone: at + float(g.uniform(-0.8, 0.8)) for bone in ("radius", "ulna")}
    breaks = {bone: _drawn(Break, g, way=way, at=y) if bone in broken else None for bone, y in near.items()}
    g = np.random.default_rng([seed, 3, patient])
    places = [(x, y) for y in (0.95, 2.15) for x in (-1.6, -0.2, 1.2)]
    jitter = g.uniform([-0.1, -0.1, 0.7], [0.1, 0.1, 0.85], (len(places), 3)).tolist()
    carpals = tuple((x + dx, y + dy, radius) for (x, y), (dx, dy, radius) in zip(places, jitter, strict=True))
    return _drawn(Forearm, g, side=int(g.choice([-1, 1])), carpals=carpals, **breaks)


def draw_exposure(patient: int, image: int = 0, seed: int = 0, difficulty: Difficulty = USUAL) -> Exposure:
    """How one image of a patient is taken, whatever the patient has. Raises ValueError for a negative number.

    >>> draw_exposure(1, image=0) == draw_exposure(1, image=1)
    False
    """
    g = np.random.default_rng([seed, 5, patient, image])
    drawn = _drawn(Exposure, g, noise=int(g.integers(2**31)))
    return replace(drawn, log_photons=drawn.log_photons + difficulty.log_photons)


def _beams(e: Exposure, beams: int, field_cm: float, turn: float) -> tuple[Map, Map]:
    """Where each beam meets the patient's own axes, in cm."""
    line = ((np.arange(beams, dtype=np.float32) + 0.5) / beams - 0.5) * e.field
    x, y = field_cm * (line[None, :] - e.shift_x), field_cm * (line[:, None] - e.shift_y)
    c, s = cos(turn * e.roll), sin(turn * e.roll)
    return x * c + y * s, y * c - x * s


def _half(u: Map, v: Map | float = 0.0) -> Map:
    """Half chord of the unit ball at (u, v), 0 outside: times a half axis it is an ellipsoid's."""
    return np.sqrt(np.maximum(0, 1 - u * u - v * v))


def _tube(across: Map, radius: Map | float) -> Map:
    """Half chord of a tube seen from the side."""
    return np.sqrt(np.maximum(0, radius * radius - across * across))


def _step(t: Map) -> Map:
    """Smooth from 0 (t < -1) to 1 (t > 1)."""
    t = np.clip(0.5 + 0.5 * t, 0, 1)
    return t * t * (3 - 2 * t)


def _texture(x: Map, y: Map, seed: int, grain_cm: float) -> Map:
    """Smooth noise of about unit variance that stays with the patient: a random lattice, interpolated."""
    lattice = np.random.default_rng(seed).standard_normal((64, 64), np.float32) * 1.5
    i, j = np.clip(y / grain_cm + 32, 0, 62.9), np.clip(x / grain_cm + 32, 0, 62.9)
    i0, j0 = i.astype(np.intp), j.astype(np.intp)
    di, dj = _step(2 * (i - i0.astype(np.float32)) - 1), _step(2 * (j - j0.astype(np.float32)) - 1)
    above = lattice[i0, j0] * (1 - dj) + lattice[i0, j0 + 1] * dj
    below = lattice[i0 + 1, j0] * (1 - dj) + lattice[i0 + 1, j0 + 1] * dj
    return np.asarray(above * (1 - di) + below * di)


def _chest_path(c: Chest, e: Exposure, beams: int) -> Map:
    """Attenuation summed along every beam: (beams, beams), no unit.

    A solid within another counts by the difference of their mu; a turned patient's depth becomes a shift.
    """
    x, y = _beams(e, beams, 35.0, 0.05)
    front = x + 4 * e.yaw
    soft = _between_lungs(c, front, y)
    windpipe = _tube(front + 0.2, 0.85) * _step((-5.0 - y) / 1.5)
    total = 2 * TISSUE * (_trunk(c, x, y) - windpipe)
    for side in (-1, 1):
        total -= _lung(c, side, x, y, soft)
    return total + c.bone * (_spine(x - 6 * e.yaw, y) + _ribs(c, x, y, e) + _shoulders(c, front, y, e))


def _trunk(c: Chest, x: Map, y: Map) -> Map:
    """Half path through soft tissue: trunk, neck and arms share the plane z = 0, so the widest counts."""
    wide, deep, out = c.half_width + c.wall + 0.6, c.lung_half_depth + c.wall, np.abs(x)
    trunk = deep * _half(x / wide, np.minimum(0, y + 2) / 15)
    neck = 5.5 * _half(x / (5.4 + 0.3 * c.wall + 0.25 * np.maximum(0, y + 15) ** 1.5))
    top = np.minimum(0, y + 7.5 + 0.2 * (wide - out)) / 6
    arms = 5.5 * _half((out - wide + 1 - 0.2 * (y + 8)) / 5.5, top)
    return np.asarray(np.maximum(np.maximum(trunk, neck * (y < 0)), arms))


def _between_lungs(c: Chest, x: Map, y: Map) -> list[tuple[float, Map]]:
    """Centre and half length, along the beam, of what stands between the lungs: mediastinum, aorta, heart."""
    co, si = cos(c.heart_angle), sin(c.heart_angle)
    long = c.heart_half_width / hypot(co, c.heart_aspect * si)
    short = c.heart_aspect * long
    hx = x - c.heart_offset * c.heart_half_width
    hy = y - (c.dome + 0.6 - 0.78 * hypot(long * si, short * co))
    heart = 1.1 * short * _half((hx * co + hy * si) / long, (hy * co - hx * si) / short)
    mediastinum = 0.8 * c.lung_half_depth * _half(x / (c.mediastinum * (1 + 0.02 * y)))
    aorta = 2.2 * _half((x - 1.9) / 2.0, (y + 5.2) / 2.2)
    return [(0.0, mediastinum), (0.0, aorta), (-1.0, heart)]


def _lung(c: Chest, side: int, x: Map, y: Map, soft: list[tuple[float, Map]]) -> Map:
    """What a lung takes away from the tissue's attenuation, after what its finding gives back."""
    half_width, down = 0.45 * c.half_width, (y - 1.5) / c.lung_half_height
    lean = c.lean * c.lung_half_height  # a leaning ellipse reaches farther than its half axis
    u = (side * x - c.half_width + hypot(half_width, lean) - lean * down) / half_width
    top = c.dome + max(side * c.dome_step, 0)
    ball = c.lung_half_depth * _half(u, down)
    dome = c.lung_half_depth * _half(1.02 * u + 0.1, np.minimum(0, y - top - 6) / 6)
    air = 2 * (ball - np.minimum(ball, dome))
    for centre, half in soft:
        overlap = np.minimum(ball, centre + half) - np.maximum(-ball, centre - half)
        air = np.maximum(air - np.maximum(overlap, 0), 0)
    lost: Map = (TISSUE - LUNG) * air * (1 + 0.035 * _texture(x, y, c.grain + side, 1.3))
    lost -= _vessels(c, side, x, y) * np.minimum(1, air / 4)
    place = Place(x, y - top, u * half_width, down * c.lung_half_height, half_width, c.lung_half_height)
    for look_alike in c.look_alikes:
        lost = _with_look_alike(look_alike, side, lost, place)
    for finding in c.findings:
        lost = _with_finding(finding, side, lost, place)
    return lost


class Place(NamedTuple):
    """Where beams meet one lung, cm: x, y below the dome, across and down from its centre; its half axes."""

    x: Map
    y: Map
    across: Map
    down: Map
    wide: float
    high: float


def _with_finding(f: Finding, side: int, lost: Map, at: Place) -> Map:
    if isinstance(f, Effusion) and (level := f.left_cm if side < 0 else f.right_cm):
        climb = f.meniscus_cm * np.clip(at.across / at.wide, 0, 1) ** 3
        return lost * (1 - 0.97 * _step((at.y + level + climb) / 0.5))
    if isinstance(f, Effusion) or f.side != side:
        return lost
    across, down = at.across - f.u * at.wide, at.down - f.v * at.high
    if isinstance(f, Nodule):
        return lost - 2 * (f.attenuation - LUNG) * _tube(np.hypot(across, down), f.radius_cm) * (lost > 0)
    far = np.hypot(across / f.stretch, down * f.stretch) / f.radius_cm
    cloud = _step((1 - far + 0.2 * _texture(at.x, at.y, f.grain, 2.4)) / 0.4)
    uneven = 1 + 0.08 * _texture(at.x, at.y, f.grain + 1, 0.9)
    return np.asarray(lost * (1 - f.density * cloud * uneven))


def _with_look_alike(f: LookAlike, side: int, lost: Map, at: Place) -> Map:
    if f.side != side:
        return lost
    x, y = at.across - f.u * at.wide, at.down - f.v * at.high
    co, si = cos(f.turn), sin(f.turn)
    long, short = (x * co + y * si) / (f.radius_cm * f.stretch), (y * co - x * si) / f.radius_cm
    hollow = f.hollow * _half(long / f.hollow, short / f.hollow) if f.hollow else 0
    return np.asarray(lost - f.depth * (_half(long, short) - hollow) * (lost > 0))


def _vessels(c: Chest, side: int, x: Map, y: Map) -> Map:
    """Arteries that fan out from the hilum and taper."""
    total = np.zeros_like(x)
    dx, dy = side * x - c.mediastinum + 0.3, y + 1.5 - 0.5 * side
    for angle, length, radius in c.vessels:
        along = (dx * cos(angle) + dy * sin(angle)) / length
        across = dy * cos(angle) - dx * sin(angle) + 0.5 * along * along
        total += _tube(across, radius * np.maximum(0, 1.1 - along)) * (along > 0)
    return 2 * (TISSUE - LUNG) * total


def _spine(x: Map, y: Map) -> Map:
    """Vertebrae with discs between them."""
    discs = 0.7 + 0.3 * _step(np.cos(2 * pi / 2.4 * y) + 0.6)
    return 2 * (SPONGY - TISSUE) * 1.3 * _half(x / 1.9) * discs


def _ribs(c: Chest, x: Map, y: Map, e: Exposure) -> Map:
    """Ribs as tilted elliptical rings: the back half arches above, the front half runs down and fades."""
    total = np.zeros_like(x)
    for n in range(c.ribs):
        back, drop = -11.2 + c.rib_spacing * n, c.rib_drop * (5.0 + 1.1 * n) * (1 + 2 * e.tilt)
        v = max(-1.0, min(0.6, (back + drop - 1.5) / c.lung_half_height))
        wide = c.half_width * (0.55 + c.lean * v + 0.45 * sqrt(1 - v * v)) + 0.2
        front = 0.5 * max(0.0, 1 - n / 8)  # cartilage below
        total += _ring(c, x / wide, (y - back - drop) / drop, wide, drop, front)
    return (0.6 * CORTEX + 0.4 * SPONGY - TISSUE) * total


def _ring(c: Chest, u: Map, v: Map, wide: float, drop: float, front: float) -> Map:
    """Path through a flat tube along an ellipse, longer where the tube runs along the beam."""
    reach = np.hypot(u, v) + 1e-6
    slope = np.hypot(u / wide, v / drop) / reach + 1e-6
    turn = np.minimum(u * u, 1)
    oblique = np.sqrt(1 + c.lung_half_depth**2 * turn / (wide**2 * (1 - turn) + drop**2 * turn))
    share = np.where(v > 0, front * _step((np.abs(u) - 0.55) / 0.1), 1)
    return 1.5 * _tube((reach - 1) / slope, c.rib_radius) * np.minimum(oblique, 2.0) * share


def _shoulders(c: Chest, x: Map, y: Map, e: Exposure) -> Map:
    """Clavicles as curved tubes, and the upper arms beside them."""
    out, down = np.abs(x) - 1.6, y - c.clavicle
    line = -25 * e.tilt - 0.16 * out - 0.6 * np.sin(out / 2.2)
    clavicle = _tube(down - line, 0.65) * _step(out / 0.4) * _step((c.half_width + 1 - out) / 0.5)
    across, head = out - c.half_width - 2.2 - 0.2 * down, np.minimum(0, down - 0.5)
    humerus = _tube(np.hypot(across, head), 1.2 + 0.9 * np.exp(-np.maximum(0, down - 0.5) / 2))
    return 2 * (CORTEX - TISSUE) * 0.8 * clavicle + 1.2 * (SPONGY - TISSUE) * humerus


def _forearm_path(a: Forearm, e: Exposure, beams: int) -> Map:
    """Attenuation summed along every beam: (beams, beams), no unit."""
    x, y = _beams(e, beams, 16.0, 0.08)
    x, hand = a.side * x, y - a.wrist
    wide = a.flesh - 0.05 * (np.minimum(hand, 0) + 10) + 0.9 * _step((hand - 2.5) / 2.5)
    total = 2 * TISSUE * 0.6 * a.flesh * (1 - 0.03 * (hand + 9)) * _half(x / wide)
    apart = a.apart + 2 * e.yaw
    total += _bone(a, x + apart, y, -1, a.radius) + _bone(a, x - apart, y, 1, a.ulna)
    bones = np.zeros_like(x)
    for cx, cy, radius in a.carpals:
        bones = np.maximum(bones, _tube(np.hypot(x - cx, 1.1 * (hand - cy)), radius))
    for n in range(4):
        metacarpal = _tube(x - (n - 1.7) * (0.9 + 0.09 * hand), 0.42) * _step((hand - 3.0) / 0.2)
        bones = np.maximum(bones, metacarpal)
    return total + a.bone * 2 * (SPONGY + 0.1 - TISSUE) * bones


def _bone(a: Forearm, x: Map, y: Map, side: int, b: Break | None) -> Map:
    """One shaft, in one piece or in two: the distal one turned and shifted about the break."""
    if b is None:
        return _shaft(a, x, y, side)
    upper = _shaft(a, x, y, side) * _step((b.at + b.slope * x - b.gap / 2 - y) / 0.05)
    co, si = cos(b.way * b.angle), sin(b.way * b.angle)
    dx, dy = x - b.way * b.shift, y - b.at
    tx, ty = dx * co + dy * si, dy * co - dx * si
    return upper + _shaft(a, tx, ty + b.at, side) * _step((ty - b.slope * tx - b.gap / 2) / 0.05)


def _shaft(a: Forearm, x: Map, y: Map, side: int) -> Map:
    """A bowed, hollow tube of cortex round marrow that widens to spongy bone, the radius (-1) most."""
    end = np.exp(-np.abs(a.wrist - y) / 1.2)
    outer = a.shaft + (0.55 if side < 0 else 0.1) * end
    inner = outer * (1 - a.cortex * (1 - 0.8 * end))
    across = x - side * a.bow * np.cos(0.3 * (y - a.wrist + 4.5))
    shell, core = _tube(across, outer), _tube(across, inner)
    path = (CORTEX - TISSUE) * shell - (CORTEX - MARROW - (SPONGY - MARROW) * end) * core
    rounded_end = _step((a.wrist + 0.1 - 0.25 * across * across - y) / 0.1)
    return np.asarray(2 * a.bone * path * rounded_end)


def _exposed(path: Map, e: Exposure) -> Grey:
    """Sum of attenuation to grey: bone white, air black; (n, n) gives (n / BEAMS, n / BEAMS).

    Beer and Lambert: I = I0 exp(-path). Scatter is a wide blur of the primary; photons are many, so that
    their Poisson noise is near a normal one of equal variance.
    """
    n = path.shape[0] // BEAMS
    open_beam = 10**e.log_photons * (64 / n) ** 2
    primary = np.exp(-path).reshape(n, BEAMS, n, BEAMS).mean(axis=(1, 3))
    scattered = e.scatter * _blurred(np.minimum(primary, 0.3), n / 8)  # open air scatters nothing
    photons = open_beam * (_blurred(primary, e.blur * n / 64) + scattered)
    photons += np.sqrt(photons) * np.random.default_rng(e.noise).standard_normal((n, n), np.float32)
    return _displayed(-np.log(np.maximum(photons, 1) / open_beam), e)


def _displayed(depth: Map, e: Exposure) -> Grey:
    """Evened between thick and thin, windowed by what the body covers as on a real console, and curved."""
    even = depth - 0.4 * _blurred(depth, depth.shape[0] / 6)
    low, high = (float(p) for p in np.percentile(even[depth >= min(0.3, depth.max())], [3, 99.5]))
    span = 1.1 * max(high - low, 0.1)
    grey = (even - low - span * (e.black - 0.08)) / (span * e.white)
    return np.rint(255 * np.clip(grey, 0, 1) ** e.gamma).astype(np.uint8)


def _blurred(image: Map, sigma: float) -> Map:
    kernel = _gaussian(image.shape[0], max(round(sigma, 2), 0.01))
    return kernel @ image @ kernel.T


@lru_cache(maxsize=32)
def _gaussian(n: int, sigma: float) -> Map:
    """Blur along one axis as an (n, n) matrix; its rows sum to 1, so that edges keep their brightness."""
    at = np.arange(n, dtype=np.float32)
    kernel = np.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True), np.float32)


def draw_radiograph(
    label: str, patient: int, image: int = 0, size: int = 64, seed: int = 0, difficulty: Difficulty = USUAL
) -> Grey:
    """One radiograph, (size, size) grey: chest or forearm, as `label` says; equal numbers give equal bytes.

    A chest may have several findings, with | between. Raises ValueError for a label in neither CHEST nor FOREARM, or a
    negative number.

    >>> draw_radiograph("nodule", patient=5, size=32).shape
    (32, 32)
    """
    exposure, beams = draw_exposure(patient, image, seed, difficulty), size * BEAMS
    if label not in FOREARM:
        _ = [_index(each, CHEST + FOREARM) for each in _labels(label)]
        return _exposed(_chest_path(draw_chest(label, patient, seed, difficulty), exposure, beams), exposure)
    return _exposed(_forearm_path(draw_forearm(label, patient, seed), exposure, beams), exposure)


def finding_mask(
    label: str, patient: int, image: int = 0, size: int = 64, seed: int = 0, difficulty: Difficulty = USUAL
) -> npt.NDArray[np.bool_]:
    """Where the finding lies in the radiograph of these numbers, (size, size): what it takes from the beams' path.

    Of a finding that is no more than a shape, as of cardiomegaly, nothing. Raises ValueError as `draw_radiograph`.

    >>> finding_mask("nodule", patient=5, size=32).any(), finding_mask("normal", patient=5, size=32).any()
    (np.True_, np.False_)
    """
    chest, exposure = draw_chest(label, patient, seed, difficulty), draw_exposure(patient, image, seed)
    without = _chest_path(replace(chest, findings=()), exposure, size)
    change = np.abs(_chest_path(chest, exposure, size) - without)
    return np.asarray(change > max(0.1 * float(change.max()), 1e-3))


def region_rows(
    name: str, label: str, patient: int, image: int, size: int, seed: int, difficulty: Difficulty = USUAL
) -> Iterator[str]:
    """A line of a table for each finding of one image that has a place: image, finding, x, y, width, height in pixels.

    >>> next(region_rows("a.png", "nodule", 5, 0, 64, 0))
    'a.png,nodule,43,22,4,4'
    """
    for each in _labels(label):
        rows, columns = np.nonzero(finding_mask(each, patient, image, size, seed, difficulty))
        if len(rows):
            x, y = columns.min(), rows.min()
            yield f"{name},{each},{x},{y},{columns.max() + 1 - x},{rows.max() + 1 - y}"


def _images_of(
    counts: Mapping[str, int], seed: int, first_patient: int, max_images: int
) -> Iterator[tuple[str, int, int]]:
    """Label, patient and number of each image; a patient has one label and 1 to max_images images."""
    patients = count(first_patient)
    for label, left in counts.items():
        while left > 0:
            patient = next(patients)
            images = min(left, int(np.random.default_rng([seed, 6, patient]).integers(1, max_images + 1)))
            left -= images
            yield from ((label, patient, image) for image in range(images))


def write_collection(
    root: Path,
    counts: Mapping[str, int],
    size: int = 64,
    seed: int = 0,
    first_patient: int = 0,
    max_images: int = 3,
    regions: Path | None = None,
    difficulty: Difficulty = USUAL,
) -> None:
    """Write counts[label] radiographs as root/label/p<patient>-<image>.png, 1 to max_images of each patient.

    Patients are numbered on from first_patient, each with one label. `regions` gets a table of where the findings are:
    image, finding, x, y, width, height. Raises ValueError for an unknown label.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_collection(Path(folder), {"normal": 2}, size=16, max_images=1)
    ...     sorted(p.name for p in Path(folder).glob("normal/*"))
    ['p00000-00.png', 'p00001-00.png']
    """
    _ = [_index(label, CHEST + FOREARM) for label in counts]  # before anything is written
    for label in counts:
        (root / label).mkdir(parents=True, exist_ok=True)
    found = [_REGIONS]
    for label, patient, image in _images_of(counts, seed, first_patient, max_images):
        grey = draw_radiograph(label, patient, image, size, seed, difficulty)
        name = f"{label}/p{patient:05d}-{image:02d}.png"
        Image.fromarray(grey).save(root / name)
        if regions is not None and label not in FOREARM:
            found += region_rows(name, label, patient, image, size, seed, difficulty)
    if regions is not None:
        regions.write_text("\n".join(found) + "\n")


def write_table_collection(
    root: Path,
    counts: Mapping[str, int],
    size: int = 64,
    seed: int = 0,
    first_patient: int = 0,
    max_images: int = 3,
    regions: Path | None = None,
    difficulty: Difficulty = USUAL,
) -> Path:
    """Write counts[set] radiographs of each label set, such as "nodule|pleural_effusion", and a table of them.

    The images lie in root/images, 1 to max_images of each patient, and root/labels.csv names the findings of each in
    one column, with | between; "normal" stands for none. `regions` gets a table as of `write_collection`. Returns the
    path of labels.csv. Raises ValueError for an unknown finding.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table_collection(Path(folder), {"nodule|cardiomegaly": 1}, size=16).read_text())
    image,findings,patient
    p00000-00.png,nodule|cardiomegaly,p00000
    <BLANKLINE>
    """
    _ = [_index(each, CHEST) for label in counts for each in _labels(label)]  # before anything is written
    rows, found = ["image,findings,patient"], [_REGIONS]
    (root / "images").mkdir(parents=True, exist_ok=True)
    for label, patient, image in _images_of(counts, seed, first_patient, max_images):
        name = f"p{patient:05d}-{image:02d}.png"
        grey = draw_radiograph(label, patient, image, size, seed, difficulty)
        Image.fromarray(grey).save(root / "images" / name)
        rows.append(f"{name},{label},p{patient:05d}")
        if regions is not None:
            found += region_rows(name, label, patient, image, size, seed, difficulty)
    if regions is not None:
        regions.write_text("\n".join(found) + "\n")
    table = root / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def _count(text: str) -> tuple[str, int]:
    label, _, number = text.partition("=")
    return label, int(number)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw radiographs of nobody, by class.")
    parser.add_argument("out", type=Path)
    parser.add_argument("counts", nargs="+", type=_count, help="label=number, such as normal=120 nodule=12")
    parser.add_argument("--table", action="store_true", help="of several findings, such as 'nodule|cardiomegaly=9'")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=3, help="of each patient, at most")
    parser.add_argument("--regions", type=Path, help="table of where the findings are, to be written")
    parser.add_argument("--difficulty", choices=DIFFICULTIES, default="usual", help="how hard a nodule is to tell")
    parser.add_argument("--first", type=int, default=0, help="number of the first patient")
    args = parser.parse_args()
    write, difficulty = write_table_collection if args.table else write_collection, DIFFICULTIES[args.difficulty]
    try:
        write(args.out, dict(args.counts), args.size, args.seed, args.first, args.images, args.regions, difficulty)
    except ValueError as error:
        parser.error(str(error))
