"""Modulus and phase of complex entries, in few passes over memory."""

from __future__ import annotations

import torch
from torch import Tensor


def phase(z: Tensor) -> Tensor:
    """u = z/|z| = exp(i·arg z), and 1 at z = 0 as arg 0 = 0 wants it."""
    # The smallest normal number is lost in any other entry, and makes 1 of a zero. As quick as
    # sgn alone, where a mask would take two more passes.
    return (z + torch.finfo(z.dtype).tiny).sgn()


def conjugate_product_real(u: Tensor, z: Tensor) -> Tensor:
    """Re(u*z), real: the component of z along u; |z| where u is the phase of z."""
    return (u.real * z.real).add_(u.imag * z.imag)
