"""A recurrent network with a unitary recurrence: its states neither vanish nor explode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from cvtrain.models.activation import ModReLU
from cvtrain.models.initialisation import Initialisation
from cvtrain.models.linear import Linear, linear_layer
from cvtrain.models.parameters import cast_parameters, check_complex

Head: TypeAlias = Literal["complex", "real"]
Steps: TypeAlias = Literal["last", "every"]


class UnitaryMap(nn.Module):
    """W = D₃ R₂ F⁻¹ D₂ Π R₁ F D₁, unitary for any values of its 7·n real parameters.

    D = diag(exp(iθ)), R = I − 2 v v*/‖v‖², F the unitary Fourier transform, Π a permutation.

    Arjovsky, Shah, Bengio 2016, Unitary evolution recurrent neural networks, equation 6.

    Args:
        units: number of units n.
        dtype: complex64 or complex128.

    Attributes:
        phases: θ [3, n], real, of D₁, D₂, D₃; initially uniform in (−π, π).
        reflections: v [2, n], complex, of R₁, R₂; Re and Im initially uniform in (−1, 1).
        permutation: [n], fixed: entry j of Π h is entry permutation[j] of h.
    """

    permutation: Tensor

    def __init__(self, units: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.phases = nn.Parameter(torch.empty(3, units, dtype=dtype.to_real()))
        self.reflections = nn.Parameter(torch.empty(2, units, dtype=dtype))
        nn.init.uniform_(self.phases, -math.pi, math.pi)
        nn.init.uniform_(self.reflections, -1.0, 1.0)
        self.register_buffer("permutation", torch.randperm(units))

    def forward(self, h: Tensor) -> Tensor:
        """W h of each row of h [N, n]."""
        d_1, d_2, d_3 = torch.polar(torch.ones_like(self.phases), self.phases).unbind()
        v_1, v_2 = self.reflections.unbind()
        h = torch.fft.fft(h * d_1, norm="ortho")
        h = _reflected(h, v_1)[:, self.permutation] * d_2
        h = torch.fft.ifft(h, norm="ortho")
        return _reflected(h, v_2) * d_3

    def transposed(self) -> Tensor:
        """Wᵀ [n, n], with which W h of a row h is h Wᵀ."""
        identity = torch.eye(
            self.phases.shape[-1], dtype=self.reflections.dtype, device=self.phases.device
        )
        rows: Tensor = self(identity)
        return rows


def _reflected(h: Tensor, v: Tensor) -> Tensor:
    """(I − 2 v v*/‖v‖²) h of each row of h [N, n]."""
    along = (h * v.conj()).sum(dim=-1, keepdim=True) / v.abs().square().sum()
    return h - 2 * along * v


class Urnn(nn.Module):
    """h_t = modReLU(W h_{t−1} + V x_t) with a unitary W and a learned h_0; the output is y = U h +
    b of the last or of every h.

    Arjovsky, Shah, Bengio 2016, Unitary evolution recurrent neural networks, section 4. Their
    network has the real head; a head on h itself keeps the outputs complex.

    Args:
        input_shape: shape of a sequence, [T, features], or [T] for one feature.
        out_features: number of outputs.
        hidden: number n of entries of the state.
        head: ``complex``, y = U h + b; or ``real``, y = U (Re h, Im h) + b with real U and b.
        outputs: output of the ``last`` step, or of ``every`` step.
        initialisation: initialisation of V and U; b and modReLU's biases are initially zero, h_0 is
            uniform with E‖h_0‖² = 1, W is as described in `UnitaryMap`.
        dtype: complex64 or complex128; a real head has the matching real precision.

    Raises:
        ValueError: the inputs are not sequences, `hidden` is less than 1, `dtype` is not complex,
            or a name is unknown.

    Attributes:
        unitary: W.
        recurrent_activation: modReLU with one bias per unit.
        input_map: V.
        initial_state: h_0 [n].
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_features: int,
        *,
        hidden: int = 128,
        head: Head = "complex",
        outputs: Steps = "last",
        initialisation: Initialisation = "glorot",
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        if len(input_shape) not in (1, 2):
            raise ValueError(
                f"input_shape={list(input_shape)}: should be that of sequences, [T] or"
                " [T, features]"
            )
        for name, value, allowed in (("head", head, Head), ("outputs", outputs, Steps)):
            if value not in get_args(allowed):
                raise ValueError(f"{name}={value}: should be one of {', '.join(get_args(allowed))}")
        check_complex(dtype)
        if hidden < 1:
            raise ValueError(f"hidden={hidden}: should be at least 1")
        self.outputs = outputs
        features = input_shape[1] if len(input_shape) == 2 else 1
        self.unitary = UnitaryMap(hidden, dtype=dtype)
        self.input_map = Linear(features, hidden, initialisation=initialisation, dtype=dtype)
        self.recurrent_activation = ModReLU(hidden)
        self.initial_state = nn.Parameter(torch.empty(hidden, dtype=dtype))
        largest = math.sqrt(3 / (2 * hidden))
        nn.init.uniform_(self.initial_state, -largest, largest)
        self.head_parts = head == "real"
        self.head = linear_layer(
            2 * hidden if self.head_parts else hidden,
            out_features,
            initialisation=initialisation,
            dtype=dtype.to_real() if self.head_parts else dtype,
        )
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], or [N, out, T] of every step, of x [N, T, features] or [N, T]."""
        x = x.unsqueeze(-1) if x.dim() == 2 else x
        driven = self.input_map(x.flatten(0, 1)).reshape(*x.shape[:2], -1)
        # As a matrix W costs n² per step instead of n log n, but is one call instead of a dozen: on
        # a CPU it is faster up to n ≈ 500.
        transposed = self.unitary.transposed()
        h = self.initial_state.expand(len(x), -1)
        states: list[Tensor] = []
        for step in driven.unbind(dim=1):
            h = self.recurrent_activation(torch.addmm(step, h, transposed))
            if self.outputs == "every":
                states.append(h)
        if self.outputs == "last":
            return self._outputs(h)
        every = self._outputs(torch.cat(states))
        return every.reshape(len(states), len(x), -1).movedim(0, -1)

    def _outputs(self, h: Tensor) -> Tensor:
        y: Tensor = self.head(torch.cat((h.real, h.imag), dim=1) if self.head_parts else h)
        return y
