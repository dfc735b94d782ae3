"""Signals against NumPy on the same numbers, and that nothing complex is narrowed on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import cvtrain.training.signals as signals_module
from cvtrain.training.signals import (
    circularity,
    histograms,
    measure,
    measure_weights,
    parts,
    traced_entries,
)

K = 3


def draw(dtype: torch.dtype, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(K, *shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def tensors():
    def made(seed: int) -> dict[str, torch.Tensor]:
        return {
            "layer.weight": draw(torch.complex128, 5, 4, seed=seed),
            "layer.bias": draw(torch.complex128, 3, seed=seed + 1),
            "activation.b": draw(torch.float64, seed=seed + 2),
            "head.weight": draw(torch.float64, 2, 6, seed=seed + 3),
        }

    return made


def flat(tensors: dict[str, torch.Tensor], run: int) -> np.ndarray:
    return np.concatenate([t[run].numpy().astype(complex).ravel() for t in tensors.values()])


def test_norms_and_circularity_are_those_of_numpy(tensors):
    w, g, transformed, after = (tensors(seed) for seed in (0, 10, 20, 30))
    signals = measure(w, g, transformed, after)
    for run in range(K):
        gradient = flat(g, run)
        for group, z in (("grad", gradient), ("optimizer_grad", flat(transformed, run))):
            for tag, part in (("norm", z), ("real_norm", z.real), ("imag_norm", z.imag)):
                measured = float(signals[f"{group}/{tag}"][run])
                assert measured == pytest.approx(np.linalg.norm(part)), (group, tag)
        update = np.linalg.norm(flat(after, run) - flat(w, run))
        assert float(signals["update/norm"][run]) == pytest.approx(update)
        ratio = update / np.linalg.norm(flat(w, run))
        assert float(signals["update/ratio"][run]) == pytest.approx(ratio)
        z = gradient[:23]  # the complex parameters: 20 + 3 entries
        expected = abs((z**2).sum()) / (abs(z) ** 2).sum()
        assert float(signals["grad/circularity"][run]) == pytest.approx(expected)


def test_norms_of_a_gradient_that_is_not_transformed_are_computed_once(tensors, monkeypatch):
    w, g, after = (tensors(seed) for seed in (0, 10, 20))
    calls = []
    monkeypatch.setattr(signals_module, "parts", lambda t: calls.append(t) or parts(t))
    signals = measure(w, g, dict(g), after)
    assert len(calls) == 1
    for tag in ("norm", "real_norm", "imag_norm"):
        assert signals[f"optimizer_grad/{tag}"] is signals[f"grad/{tag}"]


def test_a_run_is_measured_the_same_alone_and_in_a_stack(tensors):
    groups = [tensors(seed) for seed in (0, 10, 20, 30)]
    together = measure(*groups, per_parameter=True)
    for run in range(K):
        alone = measure(
            *[{n: t[run : run + 1] for n, t in group.items()} for group in groups],
            per_parameter=True,
        )
        assert alone.keys() == together.keys()
        for tag in alone:
            assert float(alone[tag]) == pytest.approx(float(together[tag][run]), rel=1e-14), tag


def test_small_parameters_are_traced_whole_and_large_ones_at_four_fixed_entries(tensors):
    signals = measure(*[tensors(seed) for seed in (0, 10, 20, 30)], elementwise=4)
    assert [tag for tag in signals if tag.startswith("grad/layer.bias/real")] == [
        f"grad/layer.bias/real[{i}]" for i in range(3)
    ]
    assert [tag for tag in signals if tag.startswith("grad/layer.weight/imag")] == [
        f"grad/layer.weight/imag{entry}" for entry in ("[0,0]", "[1,2]", "[3,0]", "[4,3]")
    ]
    gradient = tensors(10)["layer.weight"]
    assert torch.equal(signals["grad/layer.weight/imag[3,0]"], gradient[:, 3, 0].imag)
    assert torch.equal(
        signals["weight/layer.weight/real[1,2]"], tensors(0)["layer.weight"][:, 1, 2].real
    )


@given(shape=st.lists(st.integers(1, 9), max_size=4).map(tuple), limit=st.integers(0, 12))
def test_traced_entries_are_distinct_inside_and_labelled_by_their_index(shape, limit):
    entries, labels = traced_entries(shape, limit)
    count = int(np.prod(shape))
    assert len(set(entries.tolist())) == len(labels) == (count if count <= limit else min(count, 4))
    for entry, label in zip(entries.tolist(), labels, strict=True):
        index = tuple(int(i) for i in np.unravel_index(entry, shape)) if shape else ()
        assert label == (f"[{','.join(map(str, index))}]" if shape else "")


def test_every_signal_is_real_and_one_number_a_run(tensors):
    signals = measure(*[tensors(seed) for seed in (0, 10, 20, 30)], per_parameter=True)
    for tag, values in signals.items():
        assert not values.is_complex(), tag
        assert values.shape == (K,), tag


def test_a_gradient_on_a_line_has_circularity_one_and_an_isotropic_one_near_zero():
    line = torch.randn(1, 4000, dtype=torch.float64)
    assert float(circularity(line * 0.6, line * 0.8)) == pytest.approx(1.0)
    isotropic = torch.randn(
        1, 4000, dtype=torch.complex128, generator=torch.Generator().manual_seed(1)
    )
    assert float(circularity(isotropic.real, isotropic.imag)) < 0.05
    assert float(circularity(torch.zeros(1, 3), torch.zeros(1, 3))) == 0.0


def test_non_finite_entries_are_counted_once_whichever_part_is_bad(tensors):
    g = tensors(10)
    g["layer.weight"][1, 0, 0] = complex(float("nan"), float("inf"))
    g["layer.bias"][1, 2] = complex(0, float("inf"))
    g["head.weight"][1, 0, 0] = float("nan")
    signals = measure(tensors(0), g, tensors(20), tensors(30))
    assert signals["grad/nonfinite"].tolist() == [0, 3, 0]


def test_histograms_are_of_named_real_parts(tensors):
    drawn = histograms("grad", tensors(0))
    assert not any(values.is_complex() for values in drawn.values())
    weight = tensors(0)["layer.weight"]
    assert torch.equal(drawn["grad/layer.weight/imag"], weight.imag)
    assert torch.equal(drawn["grad/layer.weight/phase"], weight.angle())
    assert "grad/head.weight" in drawn


def test_norms_of_a_parameter_are_those_of_numpy_part_by_part(tensors):
    gradients = tensors(10)
    signals = measure(tensors(0), gradients, tensors(20), tensors(30), per_parameter=True)
    for name, gradient in gradients.items():
        for run in range(K):
            z = gradient[run].numpy().ravel()
            measured = {
                part: float(signals[tag][run])
                for part in ("norm", "real_norm", "imag_norm")
                if (tag := f"grad/{name}/{part}") in signals
            }
            norms = {"norm": np.linalg.norm(z), "real_norm": np.linalg.norm(z.real)}
            if gradient.is_complex():
                norms["imag_norm"] = np.linalg.norm(z.imag)
            assert measured == pytest.approx(norms, rel=1e-12), name


def test_lazily_conjugated_tensors_are_measured_as_what_they_are(tensors):
    def conjugated(seed: int) -> dict[str, torch.Tensor]:
        return {name: t.conj() for name, t in tensors(seed).items()}

    lazy = [conjugated(seed) for seed in (0, 10, 20, 30)]
    assert lazy[1]["layer.weight"].is_conj()
    resolved = [{name: t.resolve_conj() for name, t in group.items()} for group in lazy]
    measured, expected = (measure(*groups, per_parameter=True) for groups in (lazy, resolved))
    assert measured.keys() == expected.keys()
    for tag, values in expected.items():
        assert torch.equal(measured[tag], values), tag


def test_the_relative_error_is_relative_to_the_solution(tensors):
    of_runs, weights = tensors(50), tensors(0)
    of_all = {name: t[:1] for name, t in of_runs.items()}
    for solution in (of_all, of_runs):
        measured = measure_weights(weights, solution=solution)["weight/error"]
        for run in range(K):
            w0 = flat(solution, 0 if solution is of_all else run)
            expected = np.linalg.norm(flat(weights, run) - w0) / np.linalg.norm(w0)
            assert float(measured[run]) == pytest.approx(expected, rel=1e-12)
