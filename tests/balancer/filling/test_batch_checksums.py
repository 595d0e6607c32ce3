from dataclasses import replace

from balancer.filling.batch_checksums import has_checksums, verified_batch, write_checksums
from tests.support.balanced_fixtures import make_candidate, make_job

JOBS = [make_job("NODULE", index) for index in range(2)]


def test_a_batch_is_found_as_it_was_written(tmp_path):
    batch = [make_candidate(tmp_path, job) for job in JOBS]
    assert not has_checksums(tmp_path, JOBS)
    write_checksums(tmp_path, batch)
    assert has_checksums(tmp_path, JOBS)
    found = verified_batch(tmp_path, JOBS)
    assert [replace(each, pixels="") for each in found] == batch
    assert all(each.pixels for each in found)
    assert (tmp_path / f"{JOBS[0].id}.sha256").read_text().startswith(f"{batch[0].sha256}  {batch[0].path.name}\n")


def test_a_batch_with_one_byte_changed_is_not_whole(tmp_path):
    batch = [make_candidate(tmp_path, job) for job in JOBS]
    write_checksums(tmp_path, batch)
    content = bytearray(batch[1].path.read_bytes())
    content[-20] ^= 1
    batch[1].path.write_bytes(content)
    assert verified_batch(tmp_path, JOBS) is None


def test_an_image_that_names_another_job_is_not_taken(tmp_path):
    batch = [make_candidate(tmp_path, job) for job in JOBS]
    batch[1].path.write_bytes(batch[0].path.read_bytes())
    place = tmp_path / f"{JOBS[0].id}.sha256"
    place.write_text("".join(f"{batch[0].sha256}  {each.path.name}\n" for each in batch))
    assert verified_batch(tmp_path, JOBS) is None


def test_hashes_that_are_no_text_are_none(tmp_path):
    batch = [make_candidate(tmp_path, job) for job in JOBS]
    write_checksums(tmp_path, batch)
    (tmp_path / f"{JOBS[0].id}.sha256").write_bytes(b"\xff\xfe")
    assert verified_batch(tmp_path, JOBS) is None
