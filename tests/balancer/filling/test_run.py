"""`fill` with a real, tiny Stable Diffusion; and with a generator that costs nothing, where only the order matters."""

import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from analysis.screening.screen import fit_checks
from balancer.collection.attributes import Attributes
from balancer.collection.metadata_table import read_table
from balancer.collection.scan import scan
from balancer.errors import GenerationError, UnfitModel
from balancer.filling.acceptance import USER_OVERRIDE
from balancer.filling.recipe import Recipe, measure_profile, resolve_attributes, resolve_profile
from balancer.filling.run import FillProgress, generate
from balancer.filling.runner import LocalRunner
from balancer.generators.models.checkpoint import find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import read_grey, read_header, read_xmp
from balancer.jobs import Candidate, ExternalOrigin, Verdict
from balancer.planning import make_plan
from balancer.prompting.packs import load_pack
from balancer.splits.split import draw_split, training_counts
from balancer.store.database import Ledger
from balancer.store.state_dir import find_or_make_state
from tests.support.tiny_models import write_xrays


class Painter:
    """Paints every job's seed as noise; may fail on the way."""

    def __init__(self, fail_at=None, other=0):
        self.made = []
        self.fail_at, self.other = fail_at, other

    def generate(self, jobs):
        for job in jobs:
            if len(self.made) == self.fail_at:
                raise GenerationError(needed="luck", found="none", next_step="try again")
            self.made.append((job.label, job.index))
        return [np.random.default_rng(job.seed + self.other).integers(0, 256, (16, 16), np.uint8) for job in jobs]


def accept_all(batch, accepted):
    return [Verdict("accept", {"place": len(accepted)}, (), "nobody") for _ in batch]


class Desk:
    """A scanned collection with a state folder, ready to be filled."""

    def __init__(self, folder, xrays, checkpoint, batch_size=4):
        self.state = find_or_make_state(folder, xrays)
        self.collection = scan(xrays, r"(p\d+)-")
        self.split = draw_split(self.collection)
        config = resolve_config(
            find_checkpoint(str(checkpoint)), None, SamplingOptions(steps=2, batch_size=batch_size, device="cpu")
        )
        packs = dict.fromkeys(self.collection.labels, load_pack("chest"))
        self.recipe = Recipe(packs, config, measure_profile(self.collection, self.split))

    def fill(self, target, generator, screen=accept_all, **options):
        plan = make_plan(training_counts(self.collection, self.split), [target])
        with Ledger(self.state) as ledger:
            return generate(
                self.collection,
                plan,
                self.recipe,
                ledger=ledger,
                store=self.state.candidates,
                runner=LocalRunner(),
                make_generator=lambda: generator,
                screen=screen,
                **options,
            )

    def lose_ledger(self):
        for path in self.state.folder.glob("ledger.sqlite*"):
            path.unlink()

    def files(self):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in self.state.candidates.iterdir()}


@pytest.fixture
def desk(tmp_path, xrays, checkpoint):
    return Desk(tmp_path, xrays, checkpoint)


def test_a_real_pipeline_fills_the_deficit_in_the_collections_format(desk, checkpoint):
    config = desk.recipe.config
    report = desk.fill("NODULE=10", StableDiffusion(find_checkpoint(str(checkpoint)), None, config, "cpu"))
    (candidate, _), *others = report.accepted["NODULE"]
    assert (len(others), report.made, report.short) == (5, 8, {})
    header = read_header(candidate.path)
    assert (header.format, header.mode, header.width, header.height) == ("PNG", "L", 32, 32)
    assert candidate.path.name == f"{candidate.job.id}.png"
    assert hashlib.sha256(candidate.path.read_bytes()).hexdigest() == candidate.sha256
    assert candidate.job.id.encode() in read_xmp(candidate.path)
    assert read_grey(candidate.path).std() > 1


def test_batches_are_full_and_indices_run_on(desk):
    painter = Painter()
    desk.fill("NODULE=9", painter)
    assert painter.made == [("NODULE", index) for index in range(8)]


class Doubtful:
    """A screen that calls every model unfit, and remembers by how many images."""

    name = "doubtful"

    def __init__(self, why="they show cats"):
        self.asked, self.why = [], why

    def __call__(self, batch, accepted):
        return accept_all(batch, accepted)

    def why_unfit(self, first):
        self.asked.append(len(first))
        return self.why


@pytest.mark.parametrize(("at_once", "made"), [(3, 6), (4, 4), (8, 8)])
def test_an_unfit_model_is_told_after_its_first_images_and_they_are_kept(tmp_path, xrays, checkpoint, at_once, made):
    desk, screen, painter = Desk(tmp_path, xrays, checkpoint, at_once), Doubtful(), Painter()
    with pytest.raises(UnfitModel, match="tiny-sd: they show cats"):
        desk.fill("NODULE=40", painter, screen)
    assert (screen.asked, len(painter.made)) == ([made], made)
    with pytest.raises(UnfitModel):  # it is no other model the second time
        desk.fill("NODULE=40", painter, Doubtful())
    assert len(painter.made) == made
    report = desk.fill("NODULE=12", painter)  # without that judge it goes on, with what is there
    assert report.made == len(painter.made) - made


def test_a_fit_model_is_asked_about_once(desk):
    screen = Doubtful("")
    assert desk.fill("NODULE=20", Painter(), screen).made == 16
    assert screen.asked == [4]


def test_what_is_all_there_is_not_held_up(desk):
    desk.fill("NODULE=9", Painter())
    assert desk.fill("NODULE=9", Painter(), Doubtful()).made == 0


def test_random_weights_draw_no_such_images(tmp_path, checkpoint):
    desk = Desk(tmp_path, write_xrays(tmp_path / "xrays", {"NORMAL": 160, "NODULE": 8}), checkpoint)
    screen = fit_checks(desk.collection, desk.split, desk.state.folder / "cache")
    generator = StableDiffusion(find_checkpoint(str(checkpoint)), None, desk.recipe.config, "cpu")
    with pytest.raises(UnfitModel, match="look like none of the real ones"):
        desk.fill("NODULE=40", generator, screen)


def test_a_raised_target_keeps_what_is_there(desk):
    desk.fill("NODULE=9", Painter())
    before = desk.files()
    painter = Painter()
    report = desk.fill("NODULE=14", painter)
    assert painter.made == [("NODULE", index) for index in range(8, 12)]
    assert before.items() <= desk.files().items()
    assert [candidate.job.index for candidate, _ in report.accepted["NODULE"]] == list(range(10))


def test_a_second_run_makes_nothing(desk):
    first = desk.fill("NODULE=12", Painter())

    def refuse():
        raise AssertionError("no generator is needed")

    plan = make_plan(training_counts(desk.collection, desk.split), ["NODULE=12"])
    with Ledger(desk.state) as ledger:
        again = generate(
            desk.collection,
            plan,
            desk.recipe,
            ledger=ledger,
            store=desk.state.candidates,
            runner=LocalRunner(),
            make_generator=refuse,
            screen=accept_all,
        )
    assert (again.accepted, again.made) == (first.accepted, 0)


def test_a_run_that_broke_ends_like_one_that_did_not(tmp_path, xrays, checkpoint):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, broken = Desk(tmp_path / "a", xrays, checkpoint), Desk(tmp_path / "b", xrays, checkpoint)
    wanted = whole.fill("median", Painter())
    for stop in (1, 6, 3):
        with pytest.raises(GenerationError):
            broken.fill("median", Painter(fail_at=stop))
    found = broken.fill("median", Painter())
    assert broken.files() == whole.files()
    assert found.accepted.keys() == wanted.accepted.keys()
    for label, judged in wanted.accepted.items():
        assert [(c.sha256, v) for c, v in found.accepted[label]] == [(c.sha256, v) for c, v in judged]


def test_what_is_rejected_is_made_again_with_the_next_index(desk):
    def every_other(batch, accepted):
        decisions = ("reject" if candidate.job.index % 2 else "accept" for candidate in batch)
        return [Verdict(decision, {}, ("odd",), "test") for decision in decisions]

    report = desk.fill("NODULE=10", Painter(), every_other)
    assert [candidate.job.index for candidate, _ in report.accepted["NODULE"]] == [0, 2, 4, 6, 8, 10]
    assert (report.rejected, report.short, report.made) == ({"NODULE": {"odd": 6}}, {}, 12)


def test_a_class_that_cannot_be_filled_stays_short(desk):
    def never(batch, accepted):
        return [Verdict("reject", {}, ("blank",), "test") for _ in batch]

    report = desk.fill("NODULE=8", Painter(), never, retries=2)
    assert (report.short, report.made, report.rejected) == ({"NODULE": 4}, 12, {"NODULE": {"blank": 12}})
    assert report.accepted == {"NODULE": []}


def test_a_screen_sees_what_is_accepted_so_far(desk):
    report = desk.fill("NODULE=16", Painter())
    assert [verdict.scores["place"] for _, verdict in report.accepted["NODULE"]] == [0] * 4 + [4] * 4 + [8] * 4


def test_a_lost_file_is_made_again(desk):
    desk.fill("NODULE=8", Painter())
    before = desk.files()
    next(desk.state.candidates.glob("*.png")).unlink()
    desk.fill("NODULE=8", Painter())
    assert desk.files() == before


def test_leftovers_of_a_killed_run_are_cleared(desk):
    desk.state.candidates.mkdir()
    (desk.state.candidates / ".tmp-half.png").write_bytes(b"half")
    desk.fill("NODULE=8", Painter())
    assert not list(desk.state.candidates.glob(".tmp-*"))


def test_progress_counts_what_is_safe(desk):
    seen = []
    progress = FillProgress(notify=lambda now: seen.append((now.done, now.total, now.made)))
    desk.fill("NODULE=12", Painter(), progress=progress)
    assert seen == [(4, 8, 4), (8, 8, 8)]


def test_sizes_follow_the_class_where_none_is_common(tmp_path, checkpoint):
    root = tmp_path / "d"
    write_xrays(root, {"A": 10}, size=(20, 24))
    for index in range(6):
        write_xrays(tmp_path / f"b{index}", {"B": 2}, size=(30 + index, 40))
        (tmp_path / f"b{index}" / "B").rename(root / f"B{index}")
    desk = Desk(tmp_path, root, checkpoint)
    assert desk.recipe.profile.output.size is None
    assert {desk.recipe.job("B3", index).output.size for index in range(5)} == {(33, 40)}
    assert desk.recipe.job("A", 0).output.size == (20, 24)


def test_jobs_are_pure_functions_of_the_recipe(desk):
    assert desk.recipe.job("NODULE", 3) == desk.recipe.job("NODULE", 3)
    assert desk.recipe.job("NODULE", 3).id != replace(desk.recipe, seed=1).job("NODULE", 3).id


def test_the_look_is_kept_while_the_format_is_the_same(tmp_path, checkpoint):
    root = tmp_path / "d"
    for label in ("A", "B"):
        for index in range(4):
            path = root / label / f"p{ord(label)}{index}-0.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.array([[0, 1000 + index]], np.uint16)).save(path)
    desk = Desk(tmp_path, root, checkpoint)
    with Ledger(desk.state) as ledger:
        assert resolve_profile(desk.collection, desk.split, ledger, remember=False) == desk.recipe.profile
        assert ledger.setting(desk.collection, "look") is None
        resolve_profile(desk.collection, desk.split, ledger, remember=True)
        for index in range(4, 20):
            Image.fromarray(np.array([[0, 60000]], np.uint16)).save(root / "A" / f"p65{index}-0.png")
        grown = scan(root)
        split = draw_split(grown, earlier=desk.split)
        assert measure_profile(grown, split) != desk.recipe.profile
        assert resolve_profile(grown, split, ledger, remember=True) == desk.recipe.profile
        for index in range(60):
            Image.fromarray(np.zeros((2, 2), np.uint8)).save(root / "B" / f"p66{index}-0.png")
        changed = scan(root)
        assert resolve_profile(changed, draw_split(changed), ledger, remember=True).output.mode == "L"


def test_a_damaged_candidate_is_made_again(desk):
    desk.fill("NODULE=8", Painter())
    before = desk.files()
    next(desk.state.candidates.glob("*.png")).write_bytes(b"garbage")
    desk.fill("NODULE=8", Painter())
    assert desk.files() == before


def test_a_class_without_images_of_its_own_takes_any_size(tmp_path, checkpoint):
    root = tmp_path / "d"
    for index in range(3):
        write_xrays(tmp_path / f"x{index}", {"A": 4}, size=(20 + index, 24))
        root.mkdir(exist_ok=True)
        (tmp_path / f"x{index}" / "A").rename(root / f"A{index}")
    desk = Desk(tmp_path, root, checkpoint)
    packs = {**desk.recipe.packs, "NEW": load_pack("chest")}
    assert replace(desk.recipe, packs=packs).job("NEW", 0).output.size in {(20, 24), (21, 24), (22, 24)}


@pytest.fixture
def told(tmp_path, xrays):
    """Scan with a table of patients."""

    def scan_with(text):
        (tmp_path / "meta.csv").write_text(text)
        return scan(xrays, r"(p\d+)-", table=read_table(tmp_path / "meta.csv"))

    return scan_with


def test_the_same_table_gives_the_same_prompts_and_another_one_says_so(tmp_path, xrays, checkpoint, told):
    desk = Desk(tmp_path, xrays, checkpoint)
    first = told("patient,view\n" + "".join(f"p{n // 20}{n % 20:03},{'PA' if n < 20 else 'AP'}\n" for n in range(60)))
    split = draw_split(first)
    with Ledger(desk.state) as ledger:
        found, changed = resolve_attributes(first, split, ledger, remember=True)
        assert dict(found.counts).keys() == {Attributes(view="PA"), Attributes(view="AP")}
        assert not changed  # nothing was filled before
        resolve_profile(first, split, ledger, remember=True)
        assert resolve_attributes(first, replace(split, parts=split.parts[5:]), ledger, remember=True) == (found, False)
        other = told("patient,view\np0000,lateral\n")
        assert resolve_attributes(other, split, ledger, remember=False)[1]
        assert resolve_attributes(first, split, ledger, remember=True) == (found, False)
        none, changed = resolve_attributes(
            replace(first, table=None, images=desk.collection.images), split, ledger, remember=True
        )
        assert (none.counts, changed) == ((), True)


def test_a_table_words_the_jobs_alike_in_every_class_and_without_one_nothing_changes(tmp_path, xrays, checkpoint, told):
    desk = Desk(tmp_path, xrays, checkpoint)
    plain = [desk.recipe.job(label, index).id for label in ("NODULE", "NORMAL") for index in range(9)]
    views = told("file,view\n" + "".join(f"p2{n:03}-{k}.png,AP\n" for n in range(4) for k in (0, 1)))
    with Ledger(desk.state) as ledger:
        joint, _ = resolve_attributes(desk.collection, desk.split, ledger, remember=True)
        assert [
            replace(desk.recipe, attributes=joint).job(label, index).id
            for label in ("NODULE", "NORMAL")
            for index in range(9)
        ] == plain
        joint, _ = resolve_attributes(views, draw_split(views), ledger, remember=True)
    recipe = replace(desk.recipe, attributes=joint)
    slots = [[recipe.job(label, index).prompt.slots["view"] for index in range(60)] for label in views.labels]
    assert slots[0] == slots[1] == slots[2]
    assert 0 < slots[0].count("anteroposterior AP projection") < 40


class Judge:
    """Rejects some indices, and remembers what it was asked."""

    def __init__(self, name, rejects=()):
        self.name, self.rejects, self.asked = name, rejects, []

    def __call__(self, batch, accepted):
        self.asked.append(([each.job and each.job.index for each in batch], [each.job is None for each in accepted]))
        decisions = ["reject" if each.job.index in self.rejects else "accept" for each in batch]
        return [Verdict(decision, {}, (f"{self.name} said so",), self.name) for decision in decisions]


def indices(report):
    return [candidate.job.index for candidate, _ in report.accepted["NODULE"]]


def reviewers(report):
    return [verdict.reviewer for _, verdict in report.accepted["NODULE"]]


def test_what_another_screen_judged_is_judged_anew_and_not_made_again(desk):
    desk.fill("NODULE=10", Painter(), Judge("no screen"))
    before, painter, judge = desk.files(), Painter(), Judge("gate", rejects=[1, 2])
    report = desk.fill("NODULE=10", painter, judge)
    assert judge.asked == [([0, 1, 2, 3], []), ([4, 5, 6, 7], [False] * 2)]
    assert (painter.made, report.judged_anew, desk.files()) == ([], 8, before)
    assert indices(report) == [0, 3, 4, 5, 6, 7]
    assert reviewers(report) == ["gate"] * 6
    again = Judge("gate")
    assert desk.fill("NODULE=10", Painter(), again).judged_anew == 0
    assert again.asked == []


def test_the_way_there_leaves_no_trace(tmp_path, xrays, checkpoint):
    """Screened, then unscreened and back: the same images and verdicts as of a run that was screened from the start."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    straight, around = Desk(tmp_path / "a", xrays, checkpoint), Desk(tmp_path / "b", xrays, checkpoint)
    wanted = straight.fill("NODULE=10", Painter(), Judge("gate", rejects=[1, 2, 5]))
    for name in ("gate", "no screen", "gate"):
        found = around.fill("NODULE=10", Painter(), Judge(name, rejects=[1, 2, 5] if name == "gate" else []))
    assert indices(found) == indices(wanted) == [0, 3, 4, 6, 7, 8]
    assert [v for _, v in found.accepted["NODULE"]] == [v for _, v in wanted.accepted["NODULE"]]


def test_without_a_screen_what_was_rejected_counts_and_nothing_more_is_made(desk):
    assert desk.fill("NODULE=8", Painter(), Judge("gate", rejects=range(99)), retries=0).short == {"NODULE": 4}
    painter = Painter()
    report = desk.fill("NODULE=8", painter, Judge("no screen"), retries=0)
    assert (indices(report), painter.made, report.short) == ([0, 1, 2, 3], [], {})


def test_what_a_person_decided_stands_whoever_judges(desk):
    report = desk.fill("NODULE=8", Painter(), Judge("gate"))
    ids = {candidate.job.index: candidate.id for candidate, _ in report.accepted["NODULE"]}
    with Ledger(desk.state) as ledger:
        ledger.add_verdict(desk.collection, ids[0], Verdict("reject", {}, (), "Dr. A"))
        ledger.add_verdict(desk.collection, ids[1], Verdict("accept", {}, (), "Dr. A"))
    report = desk.fill("NODULE=8", Painter(), Judge("other", rejects=[1, 2]))
    assert (indices(report), reviewers(report)) == ([1, 3, 4, 5], ["Dr. A", "other", "other", "other"])
    next(desk.state.candidates.glob("*.png")).unlink()
    assert indices(desk.fill("NODULE=8", Painter(), Judge("other", rejects=[1, 2]))) == [1, 3, 4, 5]


def test_what_a_person_takes_back_is_the_screens_word_again(desk):
    report = desk.fill("NODULE=8", Painter(), Judge("gate"))
    candidate, verdict = report.accepted["NODULE"][0]
    with Ledger(desk.state) as ledger:
        ledger.add_verdict(desk.collection, candidate.id, Verdict("reject", {}, (), "Dr. A"))
        ledger.add_verdict(desk.collection, candidate.id, verdict)
    assert desk.fill("NODULE=8", Painter(), Judge("other")).judged_anew == 4


def test_what_people_decided_outlives_a_lost_ledger_for_the_same_bytes_alone(desk):
    report = desk.fill("NODULE=8", Painter(), Judge("gate"))
    made = [candidate for candidate, _ in report.accepted["NODULE"]]
    with Ledger(desk.state) as ledger:
        for candidate in made[:3]:
            ledger.add_verdict(desk.collection, candidate.id, Verdict("reject", {"x": 0.5}, ("odd",), "Dr. A"))
        ledger.add_verdict(desk.collection, made[2].id, report.accepted["NODULE"][2][1])  # taken back
        before = ledger.history(desk.collection, made[0].id)
    desk.lose_ledger()
    assert indices(desk.fill("NODULE=8", Painter(), Judge("gate"))) == [2, 3, 4, 5]
    with Ledger(desk.state) as ledger:
        assert ledger.history(desk.collection, made[0].id)[1:] == before[1:]
        by_people = {key for key, judge in ledger.judges(desk.collection, "NODULE").items() if judge is None}
        assert by_people == {made[0].id, made[1].id}
    desk.lose_ledger()
    shutil.rmtree(desk.state.candidates)
    assert indices(desk.fill("NODULE=8", Painter(other=1), Judge("gate"))) == [0, 1, 2, 3]  # other bytes, same jobs


def test_a_short_class_says_who_stopped_it_and_who_waits(desk):
    def unsure(batch, accepted):
        decisions = ("review" if each.job.index < 2 else "reject" for each in batch)
        return [Verdict(decision, {}, ("odd",), f"{decision} gate") for decision in decisions]

    report = desk.fill("NODULE=8", Painter(), unsure, retries=1)
    assert (report.short, report.review) == ({"NODULE": 4}, {"NODULE": 2})
    assert report.rejected == {"NODULE": {"odd": 6}}
    assert [verdict.reviewer for _, verdict in report.judged["NODULE"]] == ["review gate"] * 2 + ["reject gate"] * 6


def test_a_screen_sees_accepted_images_from_elsewhere_first(desk):
    path = desk.state.candidates / "x.png"
    candidate = Candidate("NODULE", path, "ab", None, ExternalOrigin("x.png", "cd", "ef", "theirs", path, "PNG"))
    with Ledger(desk.state) as ledger:
        ledger.add_candidates(desk.collection, [(candidate, Verdict("accept", {}, (), "gate"))])
    judge = Judge("gate")
    desk.fill("NODULE=10", Painter(), judge)
    assert [accepted for _, accepted in judge.asked] == [[True], [True, *[False] * 4]]


def test_what_waits_for_a_person_is_counted_and_not_taken(desk):
    def every_other(batch, accepted):
        return [Verdict("review" if c.job.index % 2 else "accept", {}, ("copy: near (x.png)",), "t") for c in batch]

    report = desk.fill("NODULE=10", Painter(), every_other)
    assert (report.review, report.rejected, len(report.accepted["NODULE"])) == ({"NODULE": 6}, {}, 6)
    assert len(report.judged["NODULE"]) == 12
    assert desk.fill("NODULE=10", Painter()).made == 0


def test_reasons_are_counted_without_what_is_of_one_image(desk):
    def never(batch, accepted):
        return [Verdict("reject", {}, (f"copy: too near (nearest: {c.job.index}.png)",), "test") for c in batch]

    report = desk.fill("NODULE=8", Painter(), never, retries=0)
    assert report.rejected == {"NODULE": {"copy: too near": 4}}


def test_what_is_unscreened_is_taken_by_an_override_alone(desk):
    def unable(batch, accepted):
        return [Verdict("unscreened", {}, ("copy: not screened: few",), "test") for _ in batch]

    def by_override(batch, accepted):
        return [replace(verdict, reviewer=USER_OVERRIDE) for verdict in unable(batch, accepted)]

    refused = desk.fill("NODULE=8", Painter(), unable, retries=0)
    assert (refused.short, refused.rejected) == ({"NODULE": 4}, {"NODULE": {"copy: not screened: few": 4}})
    taken = desk.fill("NODULE=8", Painter(), by_override, retries=0)
    assert (taken.short, taken.made, len(taken.accepted["NODULE"])) == ({}, 0, 4)


def test_what_could_not_be_screened_is_screened_when_it_can_be(desk):
    def unable(batch, accepted):
        return [Verdict("unscreened", {}, ("copy: not screened: few",), "test") for _ in batch]

    desk.fill("NODULE=8", Painter(), unable, retries=0)
    report = desk.fill("NODULE=8", Painter())
    assert (report.made, [v.decision for _, v in report.accepted["NODULE"]]) == (0, ["accept"] * 4)
    with Ledger(desk.state) as ledger:
        found = ledger.candidates(desk.collection, "NODULE").values()
    assert {verdict.decision for _, verdict in found} == {"accept"}


def test_with_a_new_ledger_what_is_whole_on_disk_is_judged_and_not_made_again(desk):
    whole = desk.fill("NODULE=16", Painter())
    desk.state.ledger.unlink()
    damaged = whole.accepted["NODULE"][5][0]
    damaged.path.write_bytes(b"damaged")
    with Ledger(desk.state) as ledger:
        ledger.save_collection(desk.collection)
    painter = Painter()
    report = desk.fill("NODULE=16", painter)
    assert (report.taken_up, report.made) == (8, 4)
    assert painter.made == [("NODULE", index) for index in range(4, 8)]
    assert report.accepted == whole.accepted
