"""What a step learns, however little memory there is."""

import pytest
import torch

from tests.benchmarks.lora import prepared


@pytest.mark.parametrize("parts", [2, 8])
def test_a_step_learns_the_same_from_a_batch_in_parts(tmp_path, parts):
    """The batch is what was asked for, 8 images by default; memory decides only in how many parts it is learned."""
    learner = prepared(tmp_path).learner()
    batch = learner.draw(0)
    assert len(batch[0]) == 8

    def gradients(count: int) -> list[torch.Tensor]:
        learner.parts = count
        learner.gradients(batch, len(batch[0]))
        found = [weight.grad.clone() for weight in learner.networks.parameters()]
        learner.optimizer.zero_grad(set_to_none=True)
        return found

    whole, divided = gradients(1), gradients(parts)
    assert max(float(each.abs().max()) for each in whole) > 0
    for one, other in zip(whole, divided, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
