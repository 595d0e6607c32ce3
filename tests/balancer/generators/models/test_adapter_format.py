import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from balancer.errors import ModelError
from balancer.generators.models.adapter_format import is_kohya, layer_names
from balancer.generators.models.checkpoint import find_adapter
from tests.balancer.generators.test_stable_diffusion import generator, jobs
from tests.support.tiny_models import write_kohya_lora


def test_layers_under_kohyas_names_do_what_they_do_under_diffusers(checkpoint, tmp_path):
    file = write_kohya_lora(tmp_path, checkpoint)
    assert is_kohya(layer_names(file))
    made = [generator(checkpoint, each) for each in (file, tmp_path / "plain")]
    one, other = (maker.generate(jobs(config, 1))[0] for maker, config in made)
    np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)
    assert not np.array_equal(one, generator(checkpoint)[0].generate(jobs(made[0][1], 1))[0])


@pytest.mark.parametrize(("layer", "kind"), [("hada_w1_a", "LoHa"), ("lokr_w1", "LoKr")])
def test_lycoris_is_refused_by_name(tmp_path, layer, kind):
    file = tmp_path / "style.safetensors"
    save_file({f"lora_unet_mid_block.{layer}": torch.zeros(2, 2)}, file)
    with pytest.raises(ModelError, match=rf"LyCORIS \({kind}\)"):
        find_adapter(file)
