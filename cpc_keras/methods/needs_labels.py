"""Which methods take labels."""

import inspect
from collections.abc import Callable


def needs_labels(method: Callable) -> bool:
    """Tell whether a method of `METHODS` uses labelled images too.

    Args:
        method: the function or class, which then takes `num_classes`.

    Returns:
        Whether its model wants batches with labels, such as of `data.mixed_batches`.

    Example:
        >>> needs_labels(pseudo_label), needs_labels(simclr)
        (True, False)
    """
    return "num_classes" in inspect.signature(method).parameters
