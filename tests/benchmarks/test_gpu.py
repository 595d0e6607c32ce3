"""The GPU bench runs to its end on any machine, reduced, so that it is ready when there is one."""

import json

import pytest

from tests.benchmarks.gpu import Sheet, measure


@pytest.mark.slow
def test_every_part_is_measured_and_written(tmp_path):
    found = measure(tmp_path / "bench.json", reduced=True, steps=2, batches=1)
    assert json.loads((tmp_path / "bench.json").read_text()) == found
    assert not [name for name, value in found.items() if str(value).startswith("not measured")], found
    numbers = [found[name] for name in found if name.endswith(("second", "TFLOP", "TFLOP/s", "speed"))]
    assert len(numbers) == 6
    assert all(number > 0 for number in numbers)
    assert found["settings"] == {"size": 32, "steps": 2, "batch": 2, "dtype": "float32"}


def test_what_fails_or_finds_no_time_is_named_and_the_rest_goes_on(tmp_path):
    sheet = Sheet(tmp_path / "bench.json", minutes=1)
    assert sheet.part("broken", lambda: 1 / 0) is None
    assert sheet.part("long", lambda: 7, minutes=2) is None
    assert sheet.part("short", lambda: 7) == 7
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["broken"] == "not measured: ZeroDivisionError: division by zero"
    assert found["long"].startswith("not measured: TimeoutError: 1.0 minutes left of about 2")
