"""A vision transformer: attention between the patches of an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torchcvnn.nn
from torch import Tensor, nn

from cvtrain.models.activation import activation as activation_named
from cvtrain.models.convolution import as_images, image_channels
from cvtrain.models.initialisation import Initialisation, initialise_
from cvtrain.models.linear import Linear
from cvtrain.models.normalisation import VECTOR_NORMALISATIONS, VectorNormalisation
from cvtrain.models.parameters import cast_parameters, check_complex, check_depth


class Vit(nn.Module):
    """Patches as vectors with learned positions, torchcvnn's transformer layers, the mean over the
    patches and a linear layer; all complex.

    A layer is x ← x + attention(norm(x)), x ← x + feed-forward(norm(x)), with the attention
    softmax(Re(Q K*ᵀ)/√d) V, normalised Q and K, and an activation after both linear maps of the
    feed-forward network. The network is purely complex if `normalisation` is ``rms`` and the
    activation has no parameters.

    Dosovitskiy et al. 2021, An image is worth 16×16 words; Eilers and Jiang 2023, Building blocks
    for a complex-valued transformer architecture, equation 8.

    Args:
        input_shape: shape of an image, [H, W] or [C, H, W].
        out_features: number of outputs, complex.
        patch_size: height and width of a patch.
        layers: number of layers.
        heads: number of attention heads.
        width: length of the vector of a patch.
        mlp_width: width of the hidden layer of the feed-forward networks.
        dropout: probability with which entries of the vectors and weights of the attention are
            dropped.
        activation: a name in `cvtrain.models.activation`.
        normalisation: ``layer`` or ``rms``, of each vector by itself.
        initialisation: initialisation of kernels, weights and positions; biases are initially zero.
        dtype: complex64 or complex128.

    Raises:
        ValueError: the image size is not a multiple of the patch size or `width` not one of
            `heads`, a number is out of range, `dtype` is not complex, or a name is unknown.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        out_features: int,
        *,
        patch_size: int = 4,
        layers: int = 2,
        heads: int = 4,
        width: int = 32,
        mlp_width: int = 64,
        dropout: float = 0.0,
        activation: str = "CGELU",
        normalisation: VectorNormalisation = "layer",
        initialisation: Initialisation = "glorot",
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        channels = image_channels(tuple(input_shape))
        height, width_of_image = input_shape[-2:]
        _check_sizes(height, width_of_image, patch_size, width, heads)
        check_depth("layers", layers)
        if mlp_width < 1:
            raise ValueError(f"mlp_width={mlp_width}: should be at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: should be at least 0 and less than 1")
        if normalisation not in VECTOR_NORMALISATIONS:
            allowed = ", ".join(VECTOR_NORMALISATIONS)
            raise ValueError(f"normalisation={normalisation}: should be one of {allowed}")
        if normalisation == "layer" and heads == width:
            raise ValueError(
                f"heads={heads}: should be less than width={width}, as layer norm makes 0 of the"
                " one entry of a head"
            )
        check_complex(dtype)
        norm = partial(VECTOR_NORMALISATIONS[normalisation], dtype=dtype)
        self.embedding = nn.Conv2d(channels, width, patch_size, stride=patch_size, dtype=dtype)
        patches = (height // patch_size) * (width_of_image // patch_size)
        self.position = nn.Parameter(torch.empty(patches, width, dtype=dtype))
        self.dropout = torchcvnn.nn.Dropout(dropout)
        self.layers = nn.Sequential(
            *(
                torchcvnn.nn.ViTLayer(
                    heads,
                    width,
                    mlp_width,
                    dropout=dropout,
                    attention_dropout=dropout,
                    norm_layer=norm,
                    activation_fn=partial(activation_named, activation),
                    dtype=dtype,
                )
                for _ in range(layers)
            )
        )
        self.norm = norm(width)
        self.head = Linear(
            width, out_features, bias=True, initialisation=initialisation, dtype=dtype
        )
        initialise_(self.position, initialisation)
        for module in (self.embedding, *self.layers.modules()):
            _initialise(module, initialisation)
        cast_parameters(self, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """y [N, out], complex, of images x [N, H, W] or [N, C, H, W]."""
        patches = self.embedding(as_images(x)).flatten(2).transpose(1, 2)
        vectors = self.norm(self.layers(self.dropout(patches + self.position)))
        y: Tensor = self.head(vectors.mean(dim=1))
        return y


def _check_sizes(height: int, width: int, patch_size: int, vector: int, heads: int) -> None:
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(
            f"patch_size={patch_size}: should divide height and width of the images,"
            f" {height}×{width}"
        )
    if heads < 1 or vector < 1 or vector % heads:
        raise ValueError(f"width={vector}: should be a multiple of heads={heads}")


@torch.no_grad()
def _initialise(module: nn.Module, initialisation: Initialisation) -> None:
    """Initialise the weights that torch and torchcvnn have initialised in their own ways."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        initialise_(module.weight, initialisation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, torchcvnn.nn.MultiheadAttention):
        for weight in module.in_proj_weight.chunk(3):  # Q, K and V: a map each
            initialise_(weight, initialisation)
