"""The table of losses is as it would be had the training never been stopped."""

import csv
from pathlib import Path

from balancer.adapting.common.loss_table import LossTable


def told(path: Path, *steps: tuple[str, int, dict[str, float]]) -> bytes:
    table = LossTable(path)
    for each in steps:
        table.log(*each)
    return path.read_bytes()


def step(number: int, phase: str = "adapter") -> tuple[str, int, dict[str, float]]:
    return phase, number, {"loss": 1 / number, "batch loss": 2 / number, "learning rate": 0.0001 * number}


LOOKS = ("adapter", 0, {"held": 3.0}), ("adapter", 2, {"held": 1.5, 'of "a, b"\n=1': 1.0})


def test_a_row_has_all_that_is_told_of_its_step(tmp_path: Path) -> None:
    told(tmp_path / "losses.csv", LOOKS[0], step(1), step(2), LOOKS[1], step(3))
    with (tmp_path / "losses.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["phase", "step", "loss", "batch loss", "learning rate", "held", 'of "a, b"\n=1']
    assert [row[1] for row in rows] == ["0", "1", "2", "3"]
    assert rows[2] == ["adapter", "2", "0.5", "1", "0.0002", "1.5", "1"]
    assert rows[0] == ["adapter", "0", "", "", "", "3", ""]


def test_a_stop_and_a_cut_line_leave_no_trace(tmp_path: Path) -> None:
    whole = told(tmp_path / "whole.csv", LOOKS[0], step(1), step(2), LOOKS[1], step(3), step(1, "denoiser"))
    place = tmp_path / "losses.csv"
    stopped = told(place, LOOKS[0], step(1), step(2), LOOKS[1], step(3), ("adapter", 4, {"loss": 9.0}))
    place.write_bytes(stopped[:-3])
    told(place, step(2))  # the state that was kept last
    assert told(place, step(3), step(1, "denoiser")) == whole


def test_a_line_that_was_cut_is_not_written_on(tmp_path: Path) -> None:
    whole = told(tmp_path / "whole.csv", step(1), step(2), step(3))
    place = tmp_path / "losses.csv"
    for cut in range(1, len(b"adapter,3,") + 1):
        place.write_bytes(whole[: whole.rindex(b"adapter") + cut])
        assert told(place, step(3)) == whole


def test_a_damaged_table_stops_no_training(tmp_path: Path) -> None:
    place = tmp_path / "losses.csv"
    for content in (b"", b"\xff\xfe\n\n,,,\n", b"phase,step,loss,batch loss,learning rate\nadapter,x,1,1,1\n"):
        place.write_bytes(content)
        assert told(place, step(1)).splitlines()[-1].startswith(b"adapter,1,1,2,0.0001")


def test_what_is_no_number_is_blank(tmp_path: Path) -> None:
    assert told(tmp_path / "losses.csv", ("adapter", 1, {"loss": float("nan")})).endswith(b"adapter,1,,,\n")
