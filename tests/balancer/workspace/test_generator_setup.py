from types import SimpleNamespace

from balancer.workspace.generator_setup import GeneratorSetup


def test_guidance_is_told_of_the_modes_that_are_used_alone():
    config = SimpleNamespace(guidance_scale=3.0)
    setup = GeneratorSetup(config, "cpu", ("text",), lambda: None, None, None, {"mix": 2.0, "inpaint": 5.0})
    assert (setup.guidance_in(["text"]), setup.guidance_in(["text", "mix"])) == ("3", "3 for text, 2 for mix")
