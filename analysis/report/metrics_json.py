"""What `balance compare` found, read from its `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.report.json_reading import entries, interval, intervals, mapping, real, text, texts, whole
from analysis.statistics.intervals import Interval

Figures = Mapping[str, Mapping[str, Interval]]
"""For each arm and metric, a figure with its interval."""
PRIMARY, SECONDARY = "primary", "secondary"
_BY_FOLD = ("free-by-fold", "synthetic-by-fold")  # what version 0.1 put together of several arms
_ORDER = ("real", "free", "synthetic", "control")


@dataclass(frozen=True, slots=True)
class Results:
    """A comparison's figures; what `metrics.json` lacks is empty or `None`.

    `p_values` are Holm's where there are such, by arm and metric. `strata` are (images, figures of the arms) by
    attribute and value; `reliability` has (predicted, observed, images) by arm; `test` (images, patients) by class.
    """

    sentence: str
    verdict: str
    points: tuple[str, ...]
    best_arm: str
    stamps: tuple[str, ...]
    primary: str
    secondary: str
    arms: Figures
    kinds: Mapping[str, str]
    meanings: Mapping[str, str]
    left_out: Mapping[str, str]
    free: str
    synthetic: str
    validation: Mapping[str, float]
    reference: str
    differences: Figures
    p_values: Mapping[str, Mapping[str, float]]
    like_for_like: Mapping[str, Any]
    strata: Mapping[str, Mapping[str, tuple[int | None, Figures]]]
    reliability: Mapping[str, tuple[tuple[float, float, int], ...]]
    test: Mapping[str, tuple[int | None, int | None]]
    train: Mapping[str, int]
    seeds: int | None
    power: Mapping[str, Any]
    exchange: Mapping[str, Any]
    openings: int | None
    settings: Mapping[str, Any]
    version: str
    how_chosen: str = ""

    @property
    def how_named(self) -> str:
        """Whether the endpoint was named before the test split was opened; empty where that is not on record."""
        if self.openings is None:
            return ""
        looks = self.openings - 1
        after = f"chosen after {looks} look{'' if looks == 1 else 's'} at the test split"
        return after if looks > 0 else "named beforehand"

    @property
    def folds(self) -> int:
        """In how many folds everything was done anew; 0 for one split."""
        return whole(self.settings.get("folds")) or 0

    @property
    def refitted(self) -> tuple[str, ...]:
        """The commands that each fold or redraw did anew."""
        return texts(self.settings.get("refitted"))

    @property
    def chosen_on(self) -> str:
        """The part by which arms were chosen."""
        return text(self.settings.get("chosen_on")) or "validation"

    @property
    def redraws(self) -> int:
        """How many draws of synthetic images there were."""
        return whole(self.settings.get("redraws")) or 1

    @property
    def ordered(self) -> list[str]:
        """The arms, the free ones first, each kind by its primary figure, the best first."""

        def place(name: str) -> tuple[int, float]:
            kind = self.kinds.get(name, "")
            first = self.arms[name].get(self.primary)
            return _ORDER.index(kind) if kind in _ORDER else len(_ORDER), -(first.value if first else 0.0)

        return sorted(self.arms, key=place)

    @property
    def trained(self) -> list[str]:
        """The arms that were trained, without those that are combined from the choices of folds."""
        return [name for name in self.ordered if name not in _BY_FOLD]

    @property
    def metrics(self) -> list[str]:
        """The metrics that any arm has, the primary and the secondary one first."""
        found = dict.fromkeys(name for figures in self.arms.values() for name in figures)
        first = [name for name in (self.primary, self.secondary) if name in found]
        return [*first, *(name for name in found if name not in first and not name.startswith("prevalence:"))]

    @property
    def shown(self) -> list[str]:
        """The few arms that plots compare: real images alone, the best free and the best synthetic one."""
        wanted = ("real" if "real" in self.arms else "", self.reference or self.free, self.synthetic)
        return [name for name in dict.fromkeys(wanted) if name in self.arms]


def read_results(found: Mapping[str, Any]) -> Results | None:
    """The content of `metrics.json`; `None` where it says nothing."""
    if not found:
        return None
    endpoint, chosen = mapping(found.get("endpoint")), mapping(found.get("chosen"))
    differences = mapping(found.get("differences"))
    return Results(
        sentence=text(found.get("sentence")),
        verdict=text(found.get("verdict")),
        points=texts(found.get("points")),
        best_arm=text(found.get("best_arm")),
        stamps=texts(found.get("stamps")),
        primary=text(endpoint.get(PRIMARY)),
        secondary=text(endpoint.get(SECONDARY)),
        arms=_figures(found.get("arms")),
        kinds=_texts_of(found.get("kinds")),
        meanings=_texts_of(found.get("meanings")),
        left_out=_texts_of(found.get("left_out")),
        free=text(chosen.get("free")),
        synthetic=text(chosen.get("synthetic")),
        validation=_reals(chosen.get("validation")),
        reference=text(found.get("reference")),
        differences=_figures(differences),
        p_values={name: _p_values(each) for name, each in differences.items()},
        like_for_like=mapping(found.get("like_for_like")),
        strata={name: _stratum(each) for name, each in mapping(found.get("strata")).items()},
        reliability={name: _bins(each) for name, each in mapping(found.get("reliability")).items()},
        test={name: _sizes(each) for name, each in mapping(found.get("test")).items()},
        train={name: size for name, each in mapping(found.get("train")).items() if (size := whole(each)) is not None},
        seeds=whole(found.get("seeds")),
        power=mapping(found.get("power")),
        exchange=mapping(found.get("exchange")),
        openings=whole(found.get("openings")),
        settings=mapping(found.get("settings")),
        version=text(found.get("version")),
        how_chosen=text(chosen.get("sentence")),
    )


def without_names(found: Results) -> Results:
    """The results without examples in the stamps, which name files and patients."""
    short = f"{_nameless(found.verdict)}. Nothing can be concluded from this comparison."
    return replace(
        found,
        sentence=_nameless(found.sentence),
        verdict=short if _is_invalid(found.verdict) else found.verdict,
        points=tuple(map(_nameless, found.points)),
        stamps=tuple(map(_nameless, found.stamps)),
    )


def _is_invalid(said: str) -> bool:
    return said.startswith("INVALID")


def _nameless(said: str) -> str:
    """A name may hold any sign: nothing behind the first one is kept."""
    before, bracket, _ = said.partition(" (")
    return f"{before} (names left out)" if bracket and _is_invalid(said) else said


def _figures(value: object) -> dict[str, dict[str, Interval]]:
    return {name: intervals(each) for name, each in mapping(value).items()}


def _texts_of(value: object) -> dict[str, str]:
    return {name: text(each) for name, each in mapping(value).items() if text(each)}


def _reals(value: object) -> dict[str, float]:
    found = {name: real(each) for name, each in mapping(value).items()}
    return {name: each for name, each in found.items() if each is not None}


def _p_values(value: object) -> dict[str, float]:
    known = {name: mapping(each) for name, each in mapping(value).items()}
    found = {name: real(each.get("p_holm", each.get("p"))) for name, each in known.items()}
    return {name: each for name, each in found.items() if each is not None}


def _stratum(value: object) -> dict[str, tuple[int | None, Figures]]:
    known = {name: mapping(each) for name, each in mapping(value).items()}
    return {_with(name, each): (whole(each.get("images")), _figures(each.get("arms"))) for name, each in known.items()}


def _with(name: str, found: Mapping[str, Any]) -> str:
    """A stratum's name, with why it was left out."""
    why = text(found.get("left_out"))
    return f"{name} ({why})" if why else name


def _bins(value: object) -> tuple[tuple[float, float, int], ...]:
    found = []
    for each in map(mapping, entries(value)):
        predicted, observed = real(each.get("predicted")), real(each.get("observed"))
        if predicted is not None and observed is not None:
            found.append((predicted, observed, whole(each.get("images")) or 0))
    return tuple(found)


def _sizes(value: object) -> tuple[int | None, int | None]:
    known = mapping(value)
    return whole(known.get("images")), whole(known.get("patients"))


def summary_of(value: Mapping[str, Any]) -> str:
    """The sentence in which power or exchange rate is said, wherever it stands."""
    return next((text(value[name]) for name in ("sentence", "summary") if isinstance(value.get(name), str)), "")


def curve_of(value: Mapping[str, Any]) -> list[tuple[float, Interval]]:
    """The learning curve: real images of the rare class and the figure that was reached with them."""
    found = [(real(each.get("images")), interval(each)) for each in map(mapping, entries(value.get("curve")))]
    return sorted(((size, at) for size, at in found if size is not None and at is not None), key=lambda each: each[0])
