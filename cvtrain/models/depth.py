"""How deep a network may be whose depth is a number."""

MOST_LAYERS = 200
"""Of a part: the 1001 layers of He et al. 2016 (arXiv:1603.05027) are three times 111 blocks."""


def check_depth(name: str, layers: int) -> None:
    """Raise ValueError unless a number of layers is from 1 to `MOST_LAYERS`."""
    if not 1 <= layers <= MOST_LAYERS:
        raise ValueError(f"{name}={layers}: should be at least 1 and at most {MOST_LAYERS}")
