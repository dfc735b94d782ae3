"""The real twin of the residual classifier."""

from cvtrain.models.real_twin import RealTwin
from cvtrain.models.resnet import ResNet


class RealResNet(RealTwin, ResNet, widths=("channels",)):
    """Real residual blocks on (Re x, Im x), with as many real degrees of freedom as a `ResNet`.

    Takes the arguments of `ResNet`, and `output`, `matched` and `dtype` as described in `RealTwin`.
    """
