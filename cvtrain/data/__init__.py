"""Data sets, one per file, and the order in which a run visits them.

The generators are not re-exported: each bears the name of its module, and would hide it from the
`_target_` paths of the configuration.
"""

from cvtrain.data.batches import BatchOrder
from cvtrain.data.dataset import Dataset
from cvtrain.data.split import FileSplit, Split

__all__ = ["BatchOrder", "Dataset", "FileSplit", "Split"]
