from dataclasses import replace

from balancer.collection.attributes import Attributes
from balancer.collection.scan import Sample
from balancer.imaging.decode import OutputFormat
from balancer.jobs import GenerationConfig, Job, ModeDraw, ModelRef, batch_ranges, is_id_of, job_seed
from balancer.prompting.prompts import Prompt

MODEL = ModelRef("sd", None, "aa")
CONFIG = GenerationConfig(MODEL, MODEL, 1.0, "dpm", 25, 3.0, 512, 512, "float32", 8)
PROMPT = Prompt("a chest radiograph", "text", "{finding}", {"finding": "nodule"})
SOURCE = Sample("NODULE/ü.png", "NODULE", None, "bb")
OUTPUT = OutputFormat("JPEG", ".jpg", "L", 8, (30, 20), tables=((1, 2), (3, 4)), subsampling=2)
JOB = Job("NODULE", 3, PROMPT, 7, CONFIG, ModeDraw("image", SOURCE, 0.5, SOURCE), OUTPUT)


def test_json_is_a_whole_record():
    assert Job.from_json(JOB.to_json()) == JOB
    plain = replace(JOB, method=ModeDraw(), config=replace(CONFIG, adapter=None), output=replace(OUTPUT, tables=None))
    assert Job.from_json(plain.to_json()) == plain


def test_jobs_share_what_is_the_same_to_the_letter():
    first, again = (Job.from_json(replace(JOB, index=index).to_json()) for index in (1, 2))
    assert first.config is again.config
    assert first.output is again.output
    whole = replace(JOB, config=replace(CONFIG, guidance_scale=3))  # equal to 3.0, and another text
    assert Job.from_json(whole.to_json()).to_json() == whole.to_json() != JOB.to_json()
    assert is_id_of(JOB.to_json(), JOB, JOB.id)
    assert not is_id_of(whole.to_json(), whole, JOB.id)


def test_the_id_is_the_hash_of_everything():
    assert JOB.id == replace(JOB).id
    others = [
        replace(JOB, index=4),
        replace(JOB, seed=8),
        replace(JOB, prompt=replace(PROMPT, negative="")),
        replace(JOB, config=replace(CONFIG, guidance_scale=3.5)),
        replace(JOB, config=replace(CONFIG, adapter=replace(MODEL, sha256="cc"))),
        replace(JOB, method=ModeDraw()),
        replace(JOB, output=replace(OUTPUT, subsampling=0)),
    ]
    assert len({JOB.id, *(job.id for job in others)}) == 8


def test_what_stands_beside_the_image_is_no_part_of_the_id():
    stated = replace(JOB, wanted='NODULE "x"', stated=Attributes("female", None, "PA [supine]"))
    again = Job.from_json(stated.to_json())
    assert again == stated
    assert again.id == JOB.id
    assert is_id_of(stated.to_json(), again, JOB.id)
    assert "stated" not in JOB.to_json()


def test_the_id_is_computed_once_and_is_no_field(monkeypatch):
    job, written = replace(JOB), []
    monkeypatch.setattr(Job, "to_json", lambda self: written.append(self) or "{}")
    assert len({job.id for _ in range(8)}) == len(written) == 1
    assert job == replace(JOB)


def test_seeds_are_their_own_for_each_run_label_and_index():
    seeds = {job_seed(run, label, index) for run in (0, 1) for label in ("a", "b") for index in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert job_seed(0, "NODULE", 0) == 857360684318949031


def test_batches_are_full_and_consecutive():
    assert list(batch_ranges(0, 4)) == []
    assert list(batch_ranges(9, 4, 8)) == [range(8, 12), range(12, 16), range(16, 20)]
