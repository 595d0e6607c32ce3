"""A plan of several findings, from the command line: what is made, what every finding counts then, what is refused."""

import pytest

from balancer import FillSettings, PlanSettings, ScanSettings, Workspace, plan, scan
from balancer.errors import PlanError
from examples.phantoms import write_table_collection
from tests.support.cli_process import run

COUNTS = {
    **{"normal": 40, "pleural_effusion": 30, "cardiomegaly|pleural_effusion": 10, "cardiomegaly": 6},
    **{"nodule": 4, "nodule|pleural_effusion": 6, "consolidation|pleural_effusion": 5},
}
OPTIONS = {"separator": "|", "columns": ("file=image label=findings patient=patient",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("several")
    table = write_table_collection(place / "x", COUNTS, size=16)
    scan(Workspace.open(place), ScanSettings(place / "x", labels=(str(table),), **OPTIONS))
    return place


def test_what_is_promised_adds_up(folder):
    found = plan(Workspace.open(folder), PlanSettings(target=("60",)))
    planned = found.findings
    for finding, count in planned.counts.items():
        new = sum(number for name, number in planned.sets.sets.items() if finding in name.split("|"))
        assert planned.sets.after[finding] == count + new
        assert planned.sets.after[finding] >= count + planned.plan.deficits[finding]
    assert found.wanted == sum(planned.sets.sets.values())
    told = found.to_json()
    assert told["findings"]["nodule"]["after"] == planned.sets.after["nodule"]
    assert told["sets"] == dict(planned.sets.sets)


def test_one_finding_by_itself(folder):
    found = plan(Workspace.open(folder), PlanSettings(target=("consolidation=9",), alone=True))
    assert set(found.findings.sets.sets) == {"consolidation"}


def test_a_dry_run_shows_findings_sets_and_prompts(folder):
    code, output = run(folder, "fill", "--target", "nodule=20", "--dry-run")
    assert code == 0, output
    assert "findings of new images" in output
    assert "afterwards" in output
    assert "nodule: " in output
    code, output = run(folder, "prompts", "--label", "nodule|pleural_effusion", "-n", "1")
    assert (code, " and " in output) == (0, True)


def test_what_sets_cannot_do_is_refused(folder, tmp_path, xrays):
    with pytest.raises(PlanError, match="symmetric"):
        plan(Workspace.open(folder), PlanSettings(target=("60",), symmetric=True))
    scan(Workspace.open(tmp_path), ScanSettings(xrays))
    with pytest.raises(PlanError, match="leave --alone out"):
        plan(Workspace.open(tmp_path), FillSettings(target=("max",), alone=True))


def test_sex_and_view_of_a_set_are_those_of_its_real_images(tmp_path):
    from balancer.collection.attributes import Attributes
    from balancer.filling.recipe import attributes_of_sets
    from balancer.splits.split import no_split

    table = write_table_collection(tmp_path / "x", {"normal": 8, "nodule|cardiomegaly": 4}, size=16, max_images=1)
    lines = table.read_text().splitlines()
    rows = [f"{lines[0]},view", *(f"{line},{'AP' if '|' in line else 'PA'}" for line in lines[1:])]
    table.write_text("\n".join(rows))
    columns = ("file=image label=findings patient=patient view=view",)
    found = scan(
        Workspace.open(tmp_path),
        ScanSettings(tmp_path / "x", labels=(str(table),), separator="|", columns=columns),
    )
    name = "cardiomegaly|nodule"
    drawn = attributes_of_sets(found.collection, no_split(found.collection), [name])[name]
    assert {drawn.draw(index) for index in range(4)} == {Attributes(view="AP")}
