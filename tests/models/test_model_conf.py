"""Every network's entry in the configuration."""

import inspect
from pathlib import Path

import pytest
import yaml
from torch import nn

from cvtrain.config.targets import resolve_target

CONF = Path(__file__).parents[2] / "conf" / "model"
FILLED = {"in_features", "input_shape", "out_features"}
NAMES = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "custom")


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_states_the_defaults(name):
    text = (CONF / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    network = resolve_target("model", values.pop("_target_"), nn.Module)
    expected = {}
    for argument, parameter in inspect.signature(network).parameters.items():
        if argument in FILLED:
            expected[argument] = None
        elif argument != "dtype":
            default = parameter.default
            expected[argument] = list(default) if isinstance(default, tuple) else default
    assert text.startswith("# ")
    assert values == expected
    assert list(values) == list(expected)
