"""The real twin of the multilayer perceptron."""

from cvtrain.models.mlp import Mlp
from cvtrain.models.real_twin import RealTwin


class RealMlp(RealTwin, Mlp, widths=("hidden",)):
    """Real linear layers on (Re x, Im x), with as many real degrees of freedom as an `Mlp`.

    Takes the arguments of `Mlp`, and `output`, `matched` and `dtype` as described in `RealTwin`.
    """
