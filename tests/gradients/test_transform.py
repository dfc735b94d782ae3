"""The convention comes first, the clip second, and what autograd left stays as it was."""

import pytest
import torch

from cvtrain.gradients.clipping import ModulusClip, NoClip, NormClip, SplitClip
from cvtrain.gradients.convention import CONVENTIONS
from cvtrain.gradients.transform import transform_gradients

WIRTINGER = CONVENTIONS["wirtinger"]
CLIPS = [NoClip(), NormClip(1.0), ModulusClip(0.5), SplitClip(0.5)]


def gradients() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(2, 3, 4, dtype=torch.complex64, generator=generator),
        "bias": torch.randn(2, 3, generator=generator),
    }


def test_a_threshold_is_about_the_halved_gradient():
    g = {"weight": torch.tensor([[3 + 4j]])}
    transformed, coefficient = transform_gradients(g, WIRTINGER, NormClip(2.5, eps=0.0))
    assert transformed["weight"].item() == 1.5 + 2j
    assert coefficient.item() == 1
    transformed, coefficient = transform_gradients(g, WIRTINGER, NormClip(1.25, eps=0.0))
    assert transformed["weight"].item() == 0.75 + 1j
    assert coefficient.item() == 0.5


def test_halving_the_complex_ones_changes_how_far_the_real_ones_are_clipped():
    g, clip = gradients(), NormClip(1.0)
    _, whole = transform_gradients(g, CONVENTIONS["pytorch"], clip)
    transformed, halved = transform_gradients(g, WIRTINGER, clip)
    assert (halved > whole).all()
    assert torch.equal(transformed["bias"], g["bias"] * halved[:, None])


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: type(clip).__name__)
@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_the_gradients_that_autograd_left_are_never_modified(convention, clip):
    g, before = gradients(), gradients()
    transformed, coefficient = transform_gradients(g, convention, clip)
    assert transformed is not g
    assert list(transformed) == list(g) == list(before)
    for name, untouched in before.items():
        assert torch.equal(g[name], untouched)
        assert (transformed[name].dtype, transformed[name].shape) == (
            untouched.dtype,
            untouched.shape,
        )
    assert coefficient.dtype == torch.float32
    assert coefficient.shape == (2,)


def test_where_nothing_changes_the_very_same_tensors_are_returned():
    g = gradients()
    transformed, _ = transform_gradients(g, CONVENTIONS["pytorch"], NoClip())
    assert all(transformed[name] is g[name] for name in g)
    transformed, _ = transform_gradients(g, WIRTINGER, NoClip())
    assert transformed["bias"] is g["bias"]
    assert torch.equal(transformed["weight"], g["weight"] / 2)
