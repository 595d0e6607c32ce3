import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analysis.data.image_statistics import MEASURES, inspect, measure_soundness
from analysis.screening.image_quality import NOT_CHECKED, SoundGate, Soundness
from analysis.screening.screen import fit_checks, require_patients, why_unscreened
from balancer.collection.attributes import Attributes
from balancer.collection.metadata_table import read_table
from balancer.collection.run_lengths import runs_to_text, to_runs
from balancer.collection.scan import Sample, scan
from balancer.errors import ImageError, ScreenError
from balancer.files import sha256_of
from balancer.jobs import Candidate, Verdict
from balancer.splits.split import draw_split
from examples.phantoms import draw_radiograph, write_collection
from tests.benchmarks.screening import BROKEN, EDITS
from tests.support.balanced_fixtures import make_job


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    for patient in range(30):
        Image.fromarray(draw_radiograph("normal", patient)).save(folder / f"{patient}.png")
    return Soundness.fit(sorted(folder.iterdir()))


def judge(gate, tmp_path, pixels):
    path = tmp_path / "candidate.png"
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return gate([Candidate("normal", path, "", None)], [])[0]


def test_real_looking_images_pass_but_are_not_called_screened(gate, tmp_path):
    for patient in range(100, 120):
        verdict = judge(gate, tmp_path, draw_radiograph("nodule", patient))
        assert (verdict.decision, verdict.reasons) == ("unscreened", (NOT_CHECKED,))
        assert verdict.scores.keys() == {"contrast", "largest_level", "detail"}


RAMP = np.tile(np.linspace(0, 255, 64), (64, 1))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (np.zeros((64, 64)), "blank"),
        (np.full((64, 64), 128), "blank"),
        (np.clip(RAMP * 60, 0, 255), "saturated"),
        (np.where(RAMP < 128, 90, 160), "saturated"),
    ],
    ids=["black", "grey", "burnt out", "two tones"],
)
def test_broken_images_are_rejected_with_the_reason(gate, tmp_path, fault, reason):
    verdict = judge(gate, tmp_path, fault)
    assert verdict.decision == "reject"
    assert any(why.startswith(reason) for why in verdict.reasons)


def test_a_blurred_image_is_rejected(gate, tmp_path):
    small = Image.fromarray(draw_radiograph("normal", 200)).resize((2, 2), Image.Resampling.BOX)
    verdict = judge(gate, tmp_path, np.asarray(small.resize((64, 64), Image.Resampling.BICUBIC)))
    assert "blurred: no detail" in verdict.reasons


def test_measures_are_exact():
    checker = (np.indices((4, 4)).sum(axis=0) % 2 * 200).astype(np.uint8)
    assert measure_soundness(checker) == {"contrast": 100.0, "largest_level": 0.5, "detail": 4.0}


def test_without_a_readable_image_there_is_no_gate(tmp_path):
    (tmp_path / "x.png").write_text("no")
    with pytest.raises(ImageError, match="real training images"):
        Soundness.fit([tmp_path / "x.png"])


def test_plainly_broken_is_all_that_few_images_can_tell(tmp_path):
    found, _ = inspect([write(tmp_path / f"{n}.png", draw_radiograph("normal", n)) for n in range(20)])
    gate = SoundGate.fit(found, np.ones(20, bool))
    words, strange = gate.faults(np.zeros((1, 64, 64), np.uint8), np.zeros((1, len(MEASURES))))
    assert "blank or flat: almost no contrast" in words[0]
    assert strange.tolist() == [0]


def write(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(grey, np.uint8)).save(path)
    return path


def candidate(path, grey, label="normal", job=None):
    write(path, grey)
    return Candidate(label, path, sha256_of(path), job)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A collection of 210 patients, an image each, its split, and a screen with a quickly learned embedding."""
    folder = tmp_path_factory.mktemp("drawn")
    write_collection(folder / "xrays", {"normal": 110, "consolidation": 60, "pleural_effusion": 40}, max_images=1)
    collection = scan(folder / "xrays", r"(p\d+)")
    split = draw_split(collection)
    return collection, split, fit_checks(collection, split, folder / "cache", steps=10)


@pytest.fixture
def sources(drawn):
    collection, split, _ = drawn
    return [collection.root / path for path in split.paths("train")[::25]]


@pytest.mark.parametrize("name", EDITS)
def test_copies_are_found_however_they_were_edited(drawn, sources, tmp_path, name):
    chance, (collection, _, screen), found = np.random.default_rng(0), drawn, []
    for number, source in enumerate(sources):
        copy = EDITS[name](Image.open(source), chance)
        verdict = screen([candidate(tmp_path / f"{number}.png", copy, source.parent.name)], [])[0]
        place = source.relative_to(collection.root).as_posix()
        rate = f"{screen.calibration.reject:.1%}"
        why = f"copy: nearer to a real image than all but {rate} of other patients are (nearest: {place})"
        found.append(
            verdict.decision == "reject" and why in verdict.reasons and verdict.scores["copy_nearest"] == place
        )
    hard = name in ("10% crop", "all five")  # for drawn chests, which are much alike, after ten steps of learning
    assert sum(found) >= len(sources) - hard


@pytest.mark.parametrize("name", BROKEN)
def test_faults_are_rejected_by_the_sound_gate(drawn, sources, tmp_path, name):
    chance = np.random.default_rng(0)
    for number, source in enumerate(sources[:4]):
        fault = BROKEN[name](Image.open(source), chance)
        verdict = drawn[2]([candidate(tmp_path / f"{number}.png", fault)], [])[0]
        assert any(reason.startswith("sound: ") for reason in verdict.reasons), verdict


def test_real_images_of_other_patients_mostly_pass(drawn, tmp_path):
    strangers = [draw_radiograph("normal", patient) for patient in range(5000, 5030)]
    verdicts = [drawn[2]([candidate(tmp_path / f"{n}.png", grey)], [])[0] for n, grey in enumerate(strangers)]
    assert sum(verdict.decision == "reject" for verdict in verdicts) <= 2
    assert sum(verdict.decision == "accept" for verdict in verdicts) >= 22
    assert {"copy_pixels", "copy_percentile", "label_probability"} <= verdicts[0].scores.keys()


def test_what_was_accepted_is_not_repeated(drawn, tmp_path):
    one = draw_radiograph("normal", 6000)
    first, again = (candidate(tmp_path / f"{n}.png", one) for n in range(2))
    brighter = candidate(tmp_path / "2.png", np.clip(one * 1.05 + 5, 0, 255))
    verdicts = drawn[2]([first, brighter], [])
    assert [verdict.decision for verdict in verdicts] == ["accept", "reject"]
    assert verdicts[1].reasons == ("new: it repeats another synthetic image that was accepted before it",)
    assert drawn[2]([again], [first])[0].decision == "reject"


def test_verdicts_do_not_depend_on_company_or_moment(drawn, tmp_path):
    collection, split, screen = drawn
    batch = [candidate(tmp_path / f"{n}.png", draw_radiograph("normal", 7000 + n)) for n in range(3)]
    together = screen(batch, [])
    fresh = fit_checks(collection, split, tmp_path / "cache", steps=10)
    assert [fresh([each], batch[:n])[0] for n, each in enumerate(batch)] == together
    found_again = fit_checks(collection, split, tmp_path / "cache", steps=10)
    assert found_again(batch, []) == together


def painted_into(grey, path, label, rows, columns, number=0):
    """A job that made just this part of a real image anew."""
    job = make_job(label, number, source=Sample(path, "normal", "p", "0" * 64))
    mask = np.zeros((job.config.height, job.config.width), bool)
    scale = job.config.height / grey.shape[0]
    mask[tuple(slice(round(each.start * scale), round(each.stop * scale)) for each in (rows, columns))] = True
    return replace(job, method=replace(job.method, mode="inpaint", mask=runs_to_text(to_runs(mask)), mask_from="a box"))


def test_an_image_painted_into_a_real_one_is_judged_by_what_was_painted(drawn, tmp_path):
    collection, split, screen = drawn
    path = next(each for each in split.paths("train") if each.startswith("normal"))
    rows, columns = slice(20, 32), slice(36, 48)
    grey, label = np.array(Image.open(collection.root / path)), "consolidation"
    grey[rows, columns] = 255 - (255 - grey[rows, columns]) // 2 + np.random.default_rng(0).integers(0, 20, (12, 12))
    job = painted_into(grey, path, label, rows, columns)
    verdict = screen([candidate(tmp_path / "a.png", grey, label, job)], [])[0]
    assert not any(reason.startswith(("copy", "new")) for reason in verdict.reasons), verdict
    assert verdict.scores["copy_nearest"] == path
    first = candidate(tmp_path / "a.png", grey, label, job)
    again = candidate(tmp_path / "b.png", grey, label, replace(job, index=1))
    other = candidate(tmp_path / "c.png", grey, label, painted_into(grey, path, label, rows, slice(40, 48), 2))
    repeated = [screen([each], [first])[0].reasons for each in (again, other)]
    assert [any(reason.startswith("new") for reason in reasons) for reasons in repeated] == [True, False]
    real = next(each for each in split.paths("train") if each.startswith(label))
    grey[rows, columns] = np.array(Image.open(collection.root / real))[rows, columns]
    copied = screen([candidate(tmp_path / "d.png", grey, label, job)], [])[0]
    assert "copy: what was painted is a part of a real image of the class" in copied.reasons


def test_a_prompt_that_the_image_contradicts_is_a_question_for_a_person(drawn, sources, tmp_path):
    """The table has ages that go with the classes, so that what an image shows tells them."""
    collection, split, _ = drawn
    ages = {"consolidation": 70, "normal": 30, "pleural_effusion": 30}
    rows = [f"{path.split('/')[1][:6]},{ages[path.split('/')[0]]}" for path in collection.images.index]
    (tmp_path / "patients.csv").write_text("\n".join(["patient,age", *rows]), "utf-8")
    table = scan(collection.root, r"(p\d+)", table=read_table(tmp_path / "patients.csv"))
    fitted = fit_checks(table, split, collection.root.parent / "cache", steps=10)
    assert any(note.startswith("prompt: age group is checked: 18-39 (AUROC 0.9") for note in fitted.notes)
    assert (fitted.name, drawn[2].name) == ("screen 3 with prompt check 1", "screen 3")
    screen = replace(fitted, label=None)  # it would reject before
    young = replace(make_job("normal", 0), stated=Attributes("female", "18-39"))
    source = Sample(sources[0].relative_to(collection.root).as_posix(), "normal", "p", "0" * 64)
    edited = replace(young, method=replace(young.method, mode="image", source=source, strength=0.5))
    asked, found = "prompt: says age 18-39, image looks 65+", {}
    for name, label, job in (
        ("plain", "normal", young),
        ("old", "consolidation", young),
        ("edited", "consolidation", edited),
    ):
        made = [candidate(tmp_path / "a.png", draw_radiograph(label, 5000 + n), job=job) for n in range(4)]
        found[name] = [screen([each], [])[0] for each in made]
    counts = {name: sum(asked in verdict.reasons for verdict in verdicts) for name, verdicts in found.items()}
    assert counts["plain"] == counts["edited"] == 0
    assert counts["old"] >= 2
    assert {verdict.decision for verdict in found["old"] if asked in verdict.reasons} == {"review"}
    assert "prompt_age" in found["plain"][0].scores


def test_an_image_made_from_a_source_is_judged_against_it_alone(drawn, sources, tmp_path):
    collection, _, screen = drawn
    path = sources[0].relative_to(collection.root).as_posix()
    job = make_job("normal", 0, source=Sample(path, "normal", "p", "0" * 64))
    darker = np.asarray(Image.open(sources[0])) * 0.7
    verdict = screen([candidate(tmp_path / "a.png", darker, job=job)], [])[0]
    assert [reason for reason in verdict.reasons if reason.startswith("copy")] == [
        "copy: it differs from its source image only in the intensities"
    ]
    assert verdict.scores["copy_nearest"] != path
    other = screen([candidate(tmp_path / "b.png", draw_radiograph("normal", 8000), job=job)], [])[0]
    assert not any("source image" in reason for reason in other.reasons)


def test_an_unreadable_candidate_is_rejected(drawn, tmp_path):
    (tmp_path / "x.png").write_bytes(b"no image")
    verdict = drawn[2]([Candidate("normal", tmp_path / "x.png", "0" * 64, None)], [])[0]
    assert (verdict.decision, verdict.reasons) == ("reject", ("sound: it cannot be read",))


def test_an_adapter_that_copies_is_blamed(drawn):
    high, low = (Verdict("accept", {"copy_percentile": value}, (), "") for value in (99.0, 20.0))
    assert drawn[2].blame([high] * 20 + [low] * 20).startswith("the model copies: 20 of 40")
    assert drawn[2].blame([low] * 40) == ""


def test_below_19_patients_there_is_a_warning_and_no_threshold(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 30, "nodule": 20})
    collection = scan(tmp_path / "xrays", r"(p\d+)")
    split = draw_split(collection)
    screen = fit_checks(collection, split, tmp_path / "cache")
    verdict = screen([candidate(tmp_path / "a.png", draw_radiograph("normal", 900))], [])[0]
    patients = collection.images.loc[split.paths("train", "holdout"), "patient"].nunique()
    why = f"only {patients} patients to compare with; a threshold for copies needs 19"
    assert (verdict.decision, verdict.reasons) == ("unscreened", (f"copy: not screened: {why}",))
    assert screen.blame([verdict]) == ""
    require_patients(collection)  # the warning does not stop it
    source = collection.root / split.paths("train")[0]
    copy = screen([candidate(tmp_path / "b.png", Image.open(source))], [])[0]
    assert copy.decision == "reject"  # the same image is a copy, whatever the threshold would be


def test_40_patients_get_the_threshold_that_they_support_and_its_rate_is_told(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 25, "nodule": 25}, max_images=1)
    collection = scan(tmp_path / "xrays", r"(p\d+)")
    split = draw_split(collection)
    screen = fit_checks(collection, split, tmp_path / "cache")
    patients = collection.images.loc[split.paths("train", "holdout"), "patient"].nunique()
    assert (screen.unscreened, len(screen.calibration)) == ("", patients)
    assert screen.calibration.reject == 2 / (patients + 1)
    assert any(f"rejects up to {2 / (patients + 1):.1%} of images that are not copies" in note for note in screen.notes)
    source = Image.open(collection.root / split.paths("train")[3])
    copy = EDITS["2 degrees"](source, np.random.default_rng(0))
    verdict = screen([candidate(tmp_path / "a.png", copy)], [])[0]
    assert any(reason.startswith("copy: nearer to a real image") for reason in verdict.reasons)


def test_patients_unknown_is_said(tmp_path):
    write_collection(tmp_path / "xrays", {"normal": 4, "nodule": 4})
    collection = scan(tmp_path / "xrays")
    assert why_unscreened(collection) == "patients are unknown, so no threshold for copies can be estimated"
    with pytest.raises(ScreenError, match="--accept-unscreened"):
        require_patients(collection)


def test_a_collection_of_one_image_under_many_names_calibrates_nothing_and_says_so(tmp_path):
    from tests.support.tiny_models import write_xrays

    write_xrays(tmp_path / "xrays", {"NODULE": 1, "NORMAL": 1})
    one, other = sorted((tmp_path / "xrays").rglob("*.png"))
    for number in range(1, 210):
        shutil.copy(one, one.with_name(f"p{number + 500:05}-0.png"))
    other.write_bytes(one.read_bytes())
    collection = scan(tmp_path / "xrays", r"(p\d+)-")
    screen = fit_checks(collection, draw_split(collection), tmp_path / "cache", steps=1)
    assert screen.unscreened == "only 1 patient to compare with; a threshold for copies needs 19"
