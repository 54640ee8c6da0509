"""Which model a method builds."""

import inspect
import typing
from collections.abc import Callable


def model_of(method: Callable) -> type:
    """Return the class of the model that a method of `METHODS` builds.

    Args:
        method: the class itself, or the function, which says what it returns.

    Returns:
        The class, a `models.PretrainingModel`.

    Raises:
        TypeError: a function that does not say it.

    Example:
        >>> model_of(simclr).__name__, model_of(CPCModel).__name__
        ('PairModel', 'CPCModel')
    """
    if inspect.isclass(method):
        return method
    model = typing.get_type_hints(method).get("return")
    if not inspect.isclass(model):
        raise TypeError(
            f"{method.__name__} does not say which model it returns. Expected an annotation, as "
            f"`-> CPCModel`. Received: {model!r}."
        )
    return model
