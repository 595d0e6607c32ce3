"""A generator that is built on another machine is held against what the plan was made with."""

from pathlib import Path

import pytest

from balancer.devices import software_versions
from balancer.errors import ModelError
from balancer.generators.blueprint import FamilyBlueprint
from balancer.jobs import ModelRef


def test_another_torch_there_is_refused_by_name():
    versions = {**software_versions(), "torch": "2.1.0"}
    blueprint = FamilyBlueprint("noise:4", ModelRef("noise", None, "0" * 64), "cpu", Path(), versions)
    with pytest.raises(ModelError, match=r"torch 2\.1\.0 on every machine that generates") as found:
        blueprint()
    assert "pip install torch==2.1.0" in found.value.next_step


def test_other_weights_of_a_family_there_are_refused():
    with pytest.raises(ModelError, match="the same weights of noise on every machine"):
        FamilyBlueprint("noise:4", ModelRef("noise", None, "0" * 64), "cpu", Path())()
