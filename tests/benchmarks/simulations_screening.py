"""Is a copy threshold what it says? Patients with known similarities, judged by the calibration that screening uses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.screening.copies import REJECT, Calibration
from analysis.screening.finding_consistency import FindingGates
from analysis.screening.memorisation import blame
from analysis.screening.prompt_consistency import PromptGates
from balancer.collection.attributes import AGE_GROUPS, SEXES, Attributes
from balancer.collection.label_sets import LabelSets
from tests.benchmarks.rows import Row, Simulation

Chance = np.random.Generator
Shares = npt.NDArray[np.float64]
Points = dict[str, npt.NDArray[np.float64]]
_WIDTHS = {"pixels": 12, "embedding": 6}  # dimensions in which simulated patients differ


def rejected_alike(patients: int, runs: int, asked: int = 60, seed: int = 0) -> Shares:
    """The share of further patients that is rejected in each run, where all similarities are alike in distribution."""
    chance, shares = np.random.default_rng(seed), []
    for _ in range(runs):
        calibration = Calibration.of(_drawn(patients, chance))
        shares.append(np.mean([calibration.decision(values) == "reject" for values in _drawn(asked, chance)]))
    return np.array(shares)


def rejected_neighbours(patients: int, runs: int, *, images: int = 1, share: float = 1.0, seed: int = 0) -> Shares:
    """The same in a pool of patients with one or several images, a share of whom calibrate: a whole search."""
    chance, shares, asked = np.random.default_rng(seed), [], 20
    for _ in range(runs):
        pool, people = _points(patients, images, chance), np.repeat(np.arange(patients), images)
        who = np.arange(round(share * patients))
        firsts = {space: points[who * images] for space, points in pool.items()}
        found, _ = _nearest(firsts, who, pool, people)
        calibration = Calibration.of(found, who.tolist(), learned=True)
        further = _nearest(_points(asked, 1, chance), np.full(asked, -1), pool, people)
        shares.append(np.mean([calibration.decision(*each) == "reject" for each in zip(*further, strict=True)]))
    return np.array(shares)


def caught_copies(patients: int, runs: int, blur: float = 0.15, seed: int = 0) -> float:
    """The share of planted copies of known patients that is not accepted; `blur` is how far a copy lies from them."""
    chance, caught = np.random.default_rng(seed), 0
    for _ in range(runs):
        pool, people = _points(patients, 1, chance), np.arange(patients)
        found, _ = _nearest(pool, people, pool, people)
        calibration = Calibration.of(found, people.tolist(), learned=True)
        copies = {space: points + blur * chance.normal(size=points.shape) for space, points in pool.items()}
        judged = _nearest(copies, np.full(patients, -1), pool, people)
        caught += sum(calibration.decision(*each) != "accept" for each in zip(*judged, strict=True))
    return caught / (runs * patients)


def blamed(patients: int, runs: int, candidates: int = 60, seed: int = 0) -> Shares:
    """Whether an adapter is blamed, run by run, whose images come no nearer than further patients do."""
    chance, found_in = np.random.default_rng(seed), []
    for _ in range(runs):
        calibration = Calibration.of(_drawn(patients, chance))
        found = [calibration.percentile(values) for values in _drawn(candidates, chance)]
        found_in.append(bool(blame(found, patients, math.ceil(0.05 * patients))))
    return np.array(found_in, np.float64)


def questioned(findings: int, images: int, asked: int, seed: int = 0) -> tuple[float, float, float]:
    """Images of several findings, each seen in one feature: what the label check says of further ones.

    The shares of harmless images that go to a person and that are rejected, and of those without their wanted finding
    that are not rejected. Findings have from 30% down to 3% of the images.
    """
    chance = np.random.default_rng(seed)
    names, shares = [f"f{number:02}" for number in range(findings)], np.geomspace(0.3, 0.03, findings)

    def drawn(count: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        has = chance.random((count, findings)) < shares
        return has, (chance.normal(0, 1, has.shape) + 4.5 * has).astype(np.float32)

    has, features = drawn(images)
    paths = pd.Index([f"{number}" for number in range(images)], dtype=object)
    sets, people = LabelSets(pd.DataFrame(has.astype(np.int8), paths, names)), np.arange(images)
    gates = FindingGates.fit(features, sets, people, people % 10 == 0)
    has, features = drawn(asked)
    doubted, rejected, missed, wanting = 0, 0, 0, 0
    for row, values in zip(has, features, strict=True):
        own = [name for name, given in zip(names, row, strict=True) if given]
        if not own:
            continue
        wanting += 1
        reject, review = gates.judge("|".join(own), values[None], {}, own[-1])
        rejected, doubted = rejected + bool(reject), doubted + (bool(review) and not reject)
        without = values.copy()
        without[names.index(own[-1])] -= 4.5
        missed += not gates.judge("|".join(own), without[None], {}, own[-1])[0]
    return doubted / wanting, rejected / wanting, missed / wanting


def attributed(
    count: int, sex: float, age: float, seed: int, sick: float = 0.0, old: float | None = None
) -> tuple[npt.NDArray[np.float32], list[Attributes], list[tuple[str]]]:
    """Features (count, 16) of images, what a table tells of each, and its class, of which "nodule" is rare.

    `sex` and `age` are how far, in spreads, the sexes and neighbouring age groups lie apart, each in a feature of its
    own. `sick`: how far an image with a nodule looks older; `old`: how many of these patients are of the oldest group.
    """
    chance = np.random.default_rng(seed)
    sexes, ages, rare = chance.integers(0, 2, count), chance.choice(3, count, p=[0.2, 0.5, 0.3]), chance.random(count)
    if old is not None:
        ages = np.where((rare < 0.06) & (chance.random(count) < old), 2, ages)
    features = chance.normal(0, 1, (count, 16)).astype(np.float32)
    features[:, 0] += sex * (sexes - 0.5)
    features[:, 1] += age * (ages - 1) + sick * (rare < 0.06)
    features[:, 2] += 3 * (rare < 0.06)
    groups = AGE_GROUPS[2:]
    known = [Attributes(SEXES[a], groups[b]) for a, b in zip(sexes.tolist(), ages.tolist(), strict=True)]
    return features, known, [("nodule" if each < 0.06 else "normal",) for each in rare.tolist()]


def doubted_prompts(
    images: int, asked: int, sex: float, age: float, seed: int = 0, sick: float = 0.0, old: float | None = None
) -> tuple[float, float, float]:
    """Shares of further images that go to a person: of all, with the other sex stated, and of those with nodules.

    Further patients with nodules are as old as the others, as prompts are, whatever `old` says of the real ones.
    """
    features, known, classes = attributed(images, sex, age, seed, sick, old)
    people = np.arange(images)
    gates = PromptGates.fit(features, known, classes, people, people % 10 == 0)
    features, known, classes = attributed(asked, sex, age, seed + 10_000, sick)
    harmless, wrong = (
        [bool(gates.judge(*each, {})) for each in zip(classes, stated, features[:, None], strict=True)]
        for stated in (known, [each._replace(sex=SEXES[1 - SEXES.index(str(each.sex))]) for each in known])
    )
    rare = [doubt for doubt, name in zip(harmless, classes, strict=True) if name == ("nodule",)]
    return float(np.mean(harmless)), float(np.mean(wrong)), float(np.mean(rare))


def kept(rate: float, shares: Shares) -> bool:
    """Whether a mean share is at most a rate, but for chance: three standard errors between runs, one run at least.

    >>> kept(0.5, np.array([0.4, 0.6])), kept(0.1, np.full(50, 0.2))
    (True, False)
    """
    error = float(shares.std(ddof=1)) / math.sqrt(len(shares))
    return float(shares.mean()) <= rate + 3 * max(error, rate / len(shares))


def _drawn(count: int, chance: Chance) -> list[dict[str, float]]:
    pixels, embedding = np.tanh(chance.normal(0.8, 0.12, count)), np.tanh(chance.normal(0.5, 0.15, count))
    return [{"pixels": a, "embedding": b} for a, b in zip(pixels.tolist(), embedding.tolist(), strict=True)]


def _points(patients: int, images: int, chance: Chance) -> Points:
    """Images as points, those of a patient near each other."""
    found = {}
    for space, width in _WIDTHS.items():
        middles = np.repeat(chance.normal(size=(patients, width)), images, axis=0)
        found[space] = middles + 0.3 * chance.normal(size=middles.shape)
    return found


def _nearest(
    asked: Points, own: npt.NDArray[np.int64], pool: Points, people: npt.NDArray[np.int64]
) -> tuple[list[dict[str, float]], list[dict[str, int]]]:
    """For each image its nearest similarity to another patient in each space, and who that is."""
    values: list[dict[str, float]] = [{} for _ in own]
    nearest: list[dict[str, int]] = [{} for _ in own]
    for space, points in asked.items():
        far = ((points[:, None] - pool[space][None]) ** 2).sum(2)
        far[own[:, None] == people[None]] = np.inf
        for row, place in enumerate(far.argmin(1)):
            values[row][space] = math.exp(-far[row, place] / _WIDTHS[space])
            nearest[row][space] = int(people[place])
    return values, nearest


def _row(what: str, rate: float, shares: Shares) -> Row:
    said = f"{shares.mean():.2%} in {len(shares):,} runs"
    return Row(what, f"at most {rate:.2%}", said, "no more, but for 3 standard errors", kept(rate, shares))


def _alike(patients: int) -> Simulation:
    def simulation(full: bool) -> Row:
        shares, rate = rejected_alike(patients, 2000 if full else 300), max(REJECT, 1 / (patients + 1))
        return _row(f"S6 images that are no copies, {patients} patients calibrate", rate, shares)

    return _named(simulation, f"alike_{patients}")


def _neighbours(patients: int, images: int, share: float) -> Simulation:
    def simulation(full: bool) -> Row:
        shares = rejected_neighbours(patients, 1000 if full else 150, images=images, share=share)
        what = f"S6 in a pool of {patients} patients, {images} images each, {share:.0%} calibrate"
        return _row(what, max(REJECT, 2 / (round(share * patients) + 1)), shares)

    return _named(simulation, f"neighbours_{patients}_{images}")


def _named(simulation: Simulation, name: str) -> Simulation:
    """A function that another process finds by its name in this module."""
    simulation.__name__ = simulation.__qualname__ = name
    globals()[name] = simulation
    return simulation


def copies_are_caught(full: bool) -> Row:
    """Detection stands beside the rate of false alarms: it is another figure."""
    found = caught_copies(200, 20 if full else 3)
    return Row("S6 planted copies, 200 patients", "copies", f"{found:.1%} not accepted", "at least 99%", found >= 0.99)


def no_adapter_is_blamed_by_chance(full: bool) -> Row:
    """An adapter that copies nothing."""
    return _row("the adapter copies: said of one that does not", 0.01, blamed(200, 1500 if full else 150))


def below_19_patients_nothing_is_rejected(full: bool) -> Row:
    """With 18 patients there is a warning and no threshold."""
    found = rejected_alike(18, 500 if full else 50).mean()
    return Row("G4 18 patients", "no threshold", f"{found:.2%} rejected", "0%", found == 0)


def many_findings_ask_few_persons(full: bool) -> Row:
    """Harmless images of 14 findings, all asked about together."""
    runs = [questioned(14, 2500, 1000, seed) for seed in range(20 if full else 4)]
    doubted = np.array([each[0] for each in runs])
    said = f"{doubted.mean():.2%} to a person, {np.mean([each[1] for each in runs]):.2%} rejected"
    return Row("label: harmless images of 14 findings", "at most 1%", said, "at most 2%", doubted.mean() <= 0.02)


def a_missing_wanted_finding_is_rejected(full: bool) -> Row:
    """The same images without what they were made for."""
    found = np.mean([questioned(14, 2500, 1000, seed)[2] for seed in range(20 if full else 4)])
    return Row(
        "label: the wanted finding is missing", "all", f"{1 - found:.1%} rejected", "at least 95%", found <= 0.05
    )


def prompts_that_hold_ask_few_persons(full: bool) -> Row:
    """Sex and age group are told well; images show what their prompts state."""
    runs = [doubted_prompts(800, 800, 4, 3, seed) for seed in range(30 if full else 6)]
    return _doubted("prompt: images that show what it states", [each[0] for each in runs])


def a_wrong_sex_is_asked_about(full: bool) -> Row:
    """The same images with the other sex in the prompt."""
    found = np.mean([doubted_prompts(800, 800, 5, 3, seed)[1] for seed in range(30 if full else 6)])
    return Row("prompt: the other sex", "contradictions", f"{found:.1%} to a person", "at least 90%", found >= 0.9)


def random_attributes_ask_nobody(full: bool) -> Row:
    """Nothing of sex and age is in the images."""
    runs = [doubted_prompts(800, 800, 0, 0, seed)[1] for seed in range(30 if full else 6)]
    return Row(
        "prompt: nothing to tell", "abstains", f"{np.mean(runs):.2%} to a person", "at most 1%", max(runs) <= 0.01
    )


def a_class_that_looks_older_asks_few_persons(full: bool) -> Row:
    """Images with a nodule look a whole age group older; where that is seen, they are not asked about."""
    runs = [doubted_prompts(1500, 1500, 4, 4, seed, sick=4)[2] for seed in range(30 if full else 4)]
    return _doubted("prompt: nodules look older than they are", runs, 0.04)


def a_class_of_old_patients_asks_few_persons(full: bool) -> Row:
    """Of real patients with a nodule nine in ten are old, and half of the prompts say otherwise."""
    runs = [doubted_prompts(1500, 1500, 4, 4, seed, old=0.9)[2] for seed in range(30 if full else 4)]
    return _doubted("prompt: nodules of old patients", runs, 0.04)


def _doubted(what: str, shares: Sequence[float], most: float = 0.02) -> Row:
    said = f"{np.mean(shares):.2%} to a person"
    return Row(what, "at most 1% of real images", said, f"at most {most:.0%}", float(np.mean(shares)) <= most)


ROWS: Sequence[Simulation] = (
    *map(_alike, (19, 50, 100, 198, 199, 300, 600)),
    *(_neighbours(*each) for each in ((40, 1, 1.0), (200, 1, 1.0), (150, 3, 1.0), (400, 1, 0.5))),
    below_19_patients_nothing_is_rejected,
    copies_are_caught,
    no_adapter_is_blamed_by_chance,
    many_findings_ask_few_persons,
    a_missing_wanted_finding_is_rejected,
    prompts_that_hold_ask_few_persons,
    a_wrong_sex_is_asked_about,
    random_attributes_ask_nobody,
    a_class_that_looks_older_asks_few_persons,
    a_class_of_old_patients_asks_few_persons,
)
