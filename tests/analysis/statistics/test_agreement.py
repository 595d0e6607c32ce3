import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from analysis.statistics.agreement import agreement, proportion, studies
from balancer.jobs import BlindedAnswer


def answers(table):
    """Two readers' answers with so many images for each pair of answers."""
    one, two = {}, {}
    for row, counts in enumerate(table):
        for column, count in enumerate(counts):
            for _ in range(count):
                one[str(len(one))], two[str(len(two))] = "rs"[row], "rs"[column]
    return one, two


def test_wilsons_interval():
    found = proportion([False] * 10, list("abcdefghij"))
    assert (found.share, found.low, round(found.high, 4)) == (0, 0, 0.2775)
    assert proportion([], []).share is None


def test_images_of_few_patients_leave_the_accuracy_as_uncertain_as_it_is():
    """Twenty patients of five images, told right or wrong together: Wilson's interval of 100 images covers 3 in 4."""
    rng, names = np.random.default_rng(0), [str(number) for number in np.repeat(np.arange(20), 5)]
    covered = {"patients": [], "images": []}
    for _ in range(200):
        of_patient = np.repeat(rng.beta(1, 1, 20), 5)
        hits = (rng.random(100) < of_patient).tolist()
        for unit, groups in (("patients", names), ("images", [str(number) for number in range(100)])):
            found = proportion(hits, groups)
            covered[unit].append(found.low <= 0.5 <= found.high)
    assert np.mean(covered["images"]) < 0.85
    assert np.mean(covered["patients"]) == pytest.approx(0.95, abs=0.04)


def test_answers_of_a_study_are_judged_by_patient():
    read = [
        BlindedAnswer("one", "A", f"real {number}", "real", "real" if number % 2 else "synthetic")
        for number in range(12)
    ]
    alone, together = (studies(read, of)[0].readers[0] for of in ({}, {f"real {n}": str(n % 2) for n in range(12)}))
    assert alone.all.hits == together.all.hits == 6
    assert (together.all.low, together.all.high) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))
    assert alone.all.low > 0.2


def test_kappa_of_a_known_table_and_its_interval_as_resampling_finds_it():
    one, two = answers([[20, 5], [10, 15]])
    found = agreement(one, two, ("A", "B"))
    assert found.kappa == pytest.approx(0.4)
    assert found.images == 50
    chance = np.random.default_rng(0)
    first, second = np.array(list(one.values())), np.array(list(two.values()))
    drawn = [cohen_kappa_score(first[some], second[some]) for some in chance.integers(0, 50, (800, 50))]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.1)


def test_kappa_is_over_the_images_that_both_saw():
    one, two = answers([[5, 1], [1, 5]])
    assert agreement({**one, "x": "r"}, {**two, "y": "s"}, ("A", "B")).images == 12


@pytest.mark.parametrize(
    ("table", "kappa"), [([[5, 0], [0, 5]], 1.0), ([[5, 0], [5, 0]], 0.0), ([[5, 0], [0, 0]], None)]
)
def test_where_there_is_no_room_for_an_error_there_is_no_interval(table, kappa):
    found = agreement(*answers(table), ("A", "B"))
    assert (found.kappa, found.low, found.high) == (kappa, None, None)


def test_the_latest_answer_of_a_reader_counts():
    def read(reader, image, truth, answer, study="one"):
        return BlindedAnswer(study, reader, image, truth, answer)

    found = studies(
        [
            read("A", "1", "real", "synthetic"),
            read("A", "1", "real", "real"),
            read("A", "2", "synthetic", "real"),
            read("A", "3", "real", "real"),
            read("A", "3", "real", None),
            read("B", "1", "real", "real"),
            read("B", "2", "synthetic", "synthetic", "other"),
        ]
    )
    assert [study.name for study in found] == ["one", "other"]
    accuracy = found[0].readers[0]
    assert (accuracy.all.hits, accuracy.all.total) == (1, 2)
    assert (accuracy.real.hits, accuracy.real.total) == (1, 1)
    assert (accuracy.synthetic.hits, accuracy.synthetic.total) == (0, 1)
    assert [(pair.readers, pair.images) for pair in found[0].agreements] == [(("A", "B"), 1)]
    assert found[1].agreements == ()
