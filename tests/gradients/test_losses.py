"""Values and gradients of the losses in closed form, and the scale in front of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from cvtrain.gradients.losses import LOSSES, Objective, complex_huber, complex_mse, cross_entropy
from cvtrain.models import MixedMlp

CONF = Path(__file__).parents[2] / "conf" / "objective"
DTYPES = pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)


def drawn(seed: int, *shape: int, dtype: torch.dtype = torch.complex128) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def gradient(loss, output: Tensor, *arguments) -> Tensor:
    leaf = output.detach().clone().requires_grad_()
    (g,) = torch.autograd.grad(loss(leaf, *arguments), leaf)
    return g


@DTYPES
def test_complex_mse_is_the_mean_squared_modulus_without_a_half(dtype):
    output, target = drawn(0, 5, 3, dtype=dtype), drawn(1, 5, 3, dtype=dtype)
    error = output - target
    loss = complex_mse(output, target)
    assert loss.dtype == dtype.to_real()
    assert loss.item() == pytest.approx(np.mean(np.abs(error.numpy()) ** 2), rel=1e-6)
    tolerance = 16 * torch.finfo(dtype).eps
    assert torch.allclose(gradient(complex_mse, output, target), 2 * error / 15, rtol=tolerance)


def test_mse_loss_over_re_and_im_is_half_of_complex_mse():
    output, target = drawn(0, 5, 3), drawn(1, 5, 3)
    real = F.mse_loss(torch.view_as_real(output), torch.view_as_real(target))
    assert real.item() == pytest.approx(complex_mse(output, target).item() / 2, rel=1e-14)
    assert complex_mse(output.real, target.real).item() == pytest.approx(
        F.mse_loss(output.real, target.real).item()
    )


@pytest.mark.parametrize(
    ("output", "value", "slope"),
    [
        (0.3 + 0.4j, 0.125, 0.3 + 0.4j),
        (3 + 4j, 2 * (5 - 1), 2 * (0.6 + 0.8j)),
        (2j, 2, 2j),
        (0, 0, 0),
    ],
)
def test_complex_huber_is_quadratic_inside_delta_and_linear_outside(output, value, slope):
    target = torch.tensor([1 - 1j], dtype=torch.complex128)
    output = target + output
    assert complex_huber(output, target, 2.0).item() == pytest.approx(value)
    assert gradient(complex_huber, output, target, 2.0).item() == pytest.approx(slope)


def test_inside_delta_complex_huber_has_half_the_gradient_of_complex_mse():
    output, target = drawn(0, 5, 3), drawn(1, 5, 3)
    huber, mse = gradient(complex_huber, output, target, 1e3), gradient(complex_mse, output, target)
    assert torch.allclose(huber, mse / 2, rtol=1e-14)


def test_complex_huber_is_a_mean_over_entries_on_both_sides():
    output, target = 2 * drawn(0, 50, 3), drawn(1, 50, 3)
    modulus = np.abs((output - target).numpy())
    entries = np.where(modulus <= 1.5, 0.5 * modulus**2, 1.5 * (modulus - 0.75))
    assert complex_huber(output, target, 1.5).item() == pytest.approx(entries.mean())


def test_cross_entropy_is_that_of_the_moduli_or_of_real_outputs():
    output, classes = drawn(0, 7, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2])
    for scored, scores in ((output, output.abs().numpy()), (output.real, output.real.numpy())):
        picked = scores[np.arange(7), classes.numpy()]
        reference = np.mean(np.log(np.exp(scores).sum(axis=1)) - picked)
        assert cross_entropy(scored, classes).item() == pytest.approx(reference)
    rotated = cross_entropy(output * torch.exp(torch.tensor(0.7j)), classes)
    assert rotated.item() == pytest.approx(cross_entropy(output, classes).item())


@pytest.mark.parametrize(
    ("objective", "target"),
    [
        (Objective("complex_mse"), torch.zeros(2, 3, dtype=torch.complex64)),
        (Objective("complex_huber", delta=1.0), torch.zeros(2, 3, dtype=torch.complex64)),
        (Objective("cross_entropy"), torch.tensor([0, 2])),
    ],
)
def test_an_output_of_zero_has_a_gradient_of_zero(objective, target):
    g = gradient(objective.value, torch.zeros(2, 3, dtype=torch.complex64), target)
    assert torch.equal(g, torch.zeros_like(g))


@DTYPES
def test_half_the_objective_halves_every_gradient_bit_for_bit(dtype):
    torch.manual_seed(0)
    model = MixedMlp(6, 4, hidden=(5,), dtype=dtype)
    inputs, classes = drawn(0, 8, 6, dtype=dtype), torch.arange(8) % 4

    def gradients(scale: float | Tensor) -> tuple[Tensor, ...]:
        value = Objective("cross_entropy", scale=scale).value(model(inputs), classes)
        return torch.autograd.grad(value.sum(), list(model.parameters()))

    whole, half, both = (gradients(scale) for scale in (1.0, 0.5, torch.tensor([0.5, 0.25])))
    assert {g.is_complex() for g in whole} == {True, False}
    assert all(torch.equal(h, g / 2) for g, h in zip(whole, half, strict=True))
    assert all(torch.allclose(b, 0.75 * g) for g, b in zip(whole, both, strict=True))


def test_the_loss_itself_has_no_scale():
    output, target = drawn(0, 5, 3), drawn(1, 5, 3)
    objective = Objective("complex_mse", scale=0.5)
    loss = complex_mse(output, target)
    assert torch.equal(objective.loss_value(output, target), loss)
    assert torch.equal(objective.value(output, target), loss / 2)
    scales = torch.tensor([1.0, 0.25])
    stacked = Objective("complex_mse", scale=scales).value(output, target)
    assert torch.equal(stacked, scales * loss)


def test_a_complex_loss_is_refused_and_not_cut_to_its_real_part(monkeypatch):
    monkeypatch.setitem(LOSSES, "complex_mse", lambda output, target: (output - target).sum())
    for measure in (Objective("complex_mse").value, Objective("complex_mse").loss_value):
        with pytest.raises(TypeError, match=r"loss=complex_mse: should be real"):
            measure(drawn(0, 2), drawn(1, 2))


@pytest.mark.parametrize("loss", [complex_mse, lambda a, b: complex_huber(a, b, 1.0)])
@pytest.mark.parametrize(
    "target", [drawn(1, 5), drawn(1, 5, 1), drawn(1, 5, 3).real], ids=["[5]", "[5, 1]", "real"]
)
def test_outputs_and_targets_that_are_not_alike_are_refused(loss, target):
    with pytest.raises(
        ValueError, match=r"output is torch\.complex128 of shape \[5, 3\], should be as"
    ):
        loss(drawn(0, 5, 3), target)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "mse"}, "loss=mse: should be one of complex_mse, complex_huber, cross_entropy"),
        ({"loss": "complex_mse", "delta": 1.0}, "delta=1.0: should be null, as loss="),
        ({"loss": "complex_huber"}, "delta=None: should be finite and above 0"),
        *(
            (
                {"loss": "complex_huber", "delta": delta},
                f"delta={delta}: should be finite and above 0",
            )
            for delta in (0.0, -1.0, float("nan"), float("inf"))
        ),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Objective(**arguments)


def test_there_is_a_file_for_every_loss_and_an_objective_in_every_file():
    files = [path for path in CONF.glob("*.yaml") if path.stem != "custom"]
    assert {path.stem for path in files} == set(LOSSES)
    for path in files:
        objective = Objective(**yaml.safe_load(path.read_text()))
        assert (objective.loss, objective.scale) == (path.stem, 1.0)
