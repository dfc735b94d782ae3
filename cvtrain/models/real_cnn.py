"""The real twin of the convolutional classifier."""

from cvtrain.models.cnn import Cnn
from cvtrain.models.real_twin import RealTwin


class RealCnn(RealTwin, Cnn, widths=("channels", "hidden")):
    """Real convolutions on (Re x, Im x), with as many real degrees of freedom as a `Cnn`.

    Takes the arguments of `Cnn`, and `output`, `matched` and `dtype` as described in `RealTwin`.
    """
