"""Buffers that a forward replaces are those of single runs, and so are the measured accuracies."""

from __future__ import annotations

import pytest

from tests.training.test_stack_equals_single import COMMON, assert_same_rows
from tests.training.trained_runs import largest_difference, together_and_alone

REPLACING = """
import torch
class Replacing(torch.nn.Module):
    def __init__(self, in_features, out_features, dtype):
        super().__init__()
        # A bias would have no gradient but rounding, which Adam makes as large as a gradient.
        self.hidden = torch.nn.Linear(in_features, 8, bias=False, dtype=dtype)
        self.head = torch.nn.Linear(8, out_features, dtype=dtype)
        self.register_buffer("running_mean", torch.zeros(8, dtype=dtype))
        self.register_buffer("running_var", torch.ones(8, dtype=dtype))
    def forward(self, x):
        h = self.hidden(x.flatten(1))
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean = h.mean(0)
            var = (h - mean).abs().square().mean(0)
            with torch.no_grad():
                self.running_mean = 0.1 * mean + 0.9 * self.running_mean
                self.running_var = 0.1 * var + 0.9 * self.running_var
        return self.head((h - mean) / (var.abs() + 1e-5).sqrt())
"""


@pytest.mark.parametrize("more", [(), ("ema.decay=0.9",)], ids=["", "averaged"])
def test_buffers_that_a_forward_replaces_are_each_members_own(tmp_path, monkeypatch, more):
    (tmp_path / "replacing_network.py").write_text(REPLACING)
    monkeypatch.syspath_prepend(str(tmp_path))
    custom = ("model=custom", "model._target_=replacing_network.Replacing")
    common = (*COMMON, *custom, "trusted_modules=[replacing_network]", "max_steps=20", *more)
    chosen = [(*common, "optimizer=adam", f"seed={seed}") for seed in range(3)]
    root = tmp_path / "runs"
    root.mkdir()
    accuracies = []
    for together, alone in together_and_alone(root, *chosen):
        assert largest_difference(together, alone) < 1e-10
        assert_same_rows(together, alone, 1e-9)
        assert together.weights["running_mean"].abs().max() > 0.01
        accuracies.append(together.record.final["test/accuracy"])
        assert accuracies[-1] == alone.record.final["test/accuracy"]
    assert len(set(accuracies)) > 1
