"""A saved state is taken over where it is the rule's, and refused at loading where it is not."""

from __future__ import annotations

import copy
import warnings
from functools import cache, partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import cvtrain
from cvtrain import optim
from cvtrain.models import MixedMlp
from cvtrain.optim.semantics import RealView
from tests.optim.test_rule_optimizer import OPTIMIZERS, SEMANTICS, parameter, take_steps

WITH_MAGNITUDES = (
    *(optim.Adam, optim.AdamW, optim.NAdam, optim.RAdam, optim.Adamax),
    *(optim.RMSprop, optim.Adagrad, optim.Adadelta, optim.Rprop),
)
HYPERPARAMETERS = dict(OPTIMIZERS)
OTHER = {"split": "modulus", "modulus": "split"}


def trained(kind, p=None, **chosen):
    p = parameter() if p is None else p
    optimizer = kind([p], **HYPERPARAMETERS.get(kind, {}), **chosen)
    take_steps(p, optimizer, 2, seed=1)
    return optimizer


@cache
def saved_state(kind, semantics):
    return trained(kind, semantics=semantics).state_dict()


def refused(optimizer, saved, match):
    """Loading is refused, in a line, and leaves the optimizer as it was."""
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=match) as caught:
        optimizer.load_state_dict(saved)
    assert len(str(caught.value).splitlines()) == 1
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["state"].keys() == before["state"].keys()
    for key, state in before["state"].items():
        assert all(torch.equal(state[name], after["state"][key][name]) for name in state)


@SEMANTICS
@pytest.mark.parametrize("kind", WITH_MAGNITUDES)
def test_a_state_of_the_other_semantics_is_refused(kind, semantics):
    saved = saved_state(kind, OTHER[semantics])
    whose = "split, which torch has too" if OTHER[semantics] == "split" else "modulus"
    match = rf"of the semantics {whose}: should be of {kind.__name__}\(semantics='{semantics}'\)"
    refused(trained(kind, semantics=semantics), saved, match)
    refused(kind([parameter()], semantics=semantics), saved, match)


@pytest.mark.parametrize("kind", WITH_MAGNITUDES)
def test_torchs_state_is_refused_under_modulus(kind):
    p = parameter()
    other = getattr(torch.optim, kind.__name__)([p], foreach=False)
    take_steps(p, other, 2, seed=1)
    refused(trained(kind, semantics="modulus"), other.state_dict(), "split, which torch has too")


@SEMANTICS
@pytest.mark.parametrize("kind", [kind for kind in HYPERPARAMETERS if kind not in WITH_MAGNITUDES])
def test_what_both_semantics_keep_alike_is_taken_over(kind, semantics):
    p = parameter()
    first = trained(kind, p, semantics=OTHER[semantics])
    q = p.detach().clone().requires_grad_()
    second = kind([q], **HYPERPARAMETERS[kind], semantics=semantics)
    second.load_state_dict(first.state_dict())
    first.rule = second.rule
    take_steps(p, first, 2, seed=2)
    take_steps(q, second, 2, seed=2)
    assert torch.equal(p, q)


@SEMANTICS
@pytest.mark.parametrize("loader", HYPERPARAMETERS)
def test_a_state_of_another_rule_is_refused(loader, semantics):
    optimizer = loader([parameter()], semantics=semantics)
    for other in HYPERPARAMETERS:
        saved = saved_state(other, semantics)
        # One rule, and the switch is a saved hyperparameter.
        if {loader, other} <= {optim.Adam, optim.AdamW}:
            loader([parameter()], semantics=semantics).load_state_dict(saved)
        elif loader is not other:
            refused(optimizer, saved, "state dict: ")


@SEMANTICS
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float32])
@pytest.mark.parametrize("kind", HYPERPARAMETERS)
def test_the_layout_is_what_a_rule_keeps(kind, dtype, semantics):
    p = parameter(dtype=dtype)
    optimizer = trained(kind, p, semantics=semantics)
    magnitude = RealView(p.unsqueeze(0), semantics).no_magnitude().dtype
    expected = {"number": ((), torch.float32), "tensor": (p.shape, p.dtype)}
    expected["magnitude"] = p.shape, magnitude
    layout = optimizer.rule.state_layout
    # Every optional piece is there: OPTIMIZERS asks for all of them.
    assert layout.keys() - optimizer.state[p].keys() <= {"max_exp_avg_sq"}
    for name, value in optimizer.state[p].items():
        assert (tuple(value.shape), value.dtype) == expected[layout[name]]


def test_the_precision_is_converted():
    saved = trained(optim.Adam).state_dict()
    q = parameter(dtype=torch.complex128)
    optimizer = optim.Adam([q])
    optimizer.load_state_dict(saved)
    assert optimizer.state[q]["exp_avg"].dtype == torch.complex128
    assert torch.equal(optimizer.state[q]["exp_avg"], saved["state"][0]["exp_avg"])
    take_steps(q, optimizer, 1, seed=2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s["param_groups"][0].pop("betas"), "has no betas: should be of Adam"),
        (lambda s: s["param_groups"][0].update(lr=-1.0), "lr=-1"),
        (lambda s: s["state"][0].pop("exp_avg"), "lacks exp_avg"),
        (lambda s: s["state"][0].update(step=torch.zeros(3)), r"'step'\] has shape \[3\]"),
        (
            lambda s: s["state"][0].update(exp_avg=torch.zeros(4, 3, dtype=torch.complex64)),
            r"'exp_avg'\] has shape \[4, 3\]: should be \[3, 4\]",
        ),
        (
            lambda s: s["state"][0].update(exp_avg=torch.zeros(3, 4)),
            "is real: should be complex, as its parameter",
        ),
        (lambda s: s["param_groups"].append(s["param_groups"][0]), "different number of"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(change, match):
    saved = copy.deepcopy(trained(optim.Adam).state_dict())
    change(saved)
    refused(trained(optim.Adam), saved, match)


def test_a_complex_state_is_not_cast_onto_a_real_parameter():
    saved = trained(optim.SGD).state_dict()
    refused(optim.SGD([parameter(dtype=torch.float32)]), saved, "is complex: should be real")


def test_a_state_of_a_stack_is_refused_by_a_plain_optimizer_and_the_other_way_round():
    plain, stacked = trained(optim.Adam), trained(optim.Adam, stacked=True)
    refused(plain, copy.deepcopy(stacked.state_dict()), r"\['step'\] has shape \[3\]")
    refused(stacked, copy.deepcopy(plain.state_dict()), r"\['step'\] has shape \[\]: .* \[3\]")


def stack_of_two(semantics):
    networks = []
    for seed in range(2):
        torch.manual_seed(seed)
        networks.append(MixedMlp(3, 2, hidden=(4,), dtype=torch.complex64))
    rule = partial(optim.Adam, lr=torch.tensor([0.01, 0.02]), semantics=semantics)
    return cvtrain.StackedModule(networks, nn.functional.cross_entropy, rule)


def fit(stack, epochs, **resumed):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(12, 3, dtype=torch.complex64, generator=generator)
    batches = DataLoader(TensorDataset(inputs, torch.arange(12) % 2), batch_size=4)
    trainer = Trainer(
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(stack, batches, **resumed)
    return trainer


@SEMANTICS
def test_a_stacked_module_goes_on_from_a_checkpoint_of_its_own_semantics_alone(tmp_path, semantics):
    through = stack_of_two(semantics)
    fit(through, epochs=2)
    path = tmp_path / "half.ckpt"
    fit(stack_of_two(semantics), epochs=1).save_checkpoint(path)
    resumed = stack_of_two(semantics)
    fit(resumed, epochs=2, ckpt_path=path)
    for p, q in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(p, q)
    with pytest.raises(ValueError, match="of the semantics"):
        fit(stack_of_two(OTHER[semantics]), epochs=2, ckpt_path=path)
