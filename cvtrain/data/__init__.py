"""Data sets, one per file, and what they share.

The data sets are the modules listed in `cvtrain.config.public_targets.DATASETS`. The other modules
are shared: `load` makes the data set of a configuration; `dataset`, `split` and `batches` hold it;
`sources`, `assembly` and `conversion` build one from stored arrays, `adoption` from objects of a
user's code, `image_files` from torchcvnn's readers; `draws` joins those of the runs of a stack.

The functions that make data sets are not re-exported: each has the name of its module and would
hide it from the `_target_` paths of the configuration.
"""

from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import FileSplit, Split

__all__ = ["BatchOrder", "Dataset", "FileSplit", "Split"]
