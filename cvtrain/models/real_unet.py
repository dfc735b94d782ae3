"""The real twin of the U-Net."""

from cvtrain.models.real_twin import RealTwin
from cvtrain.models.unet import Unet


class RealUnet(RealTwin, Unet, widths=("channels",)):
    """A real U-Net on (Re x, Im x), with as many real degrees of freedom as a `Unet`.

    Takes the arguments of `Unet`, and `output`, `matched` and `dtype` as described in `RealTwin`.
    With `residual` the complex image is added to the output, which must then be ``complex``.
    """
