"""The dtype policy of what is built meanwhile."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


@contextlib.contextmanager
def dtype_scope(policy: Any) -> Iterator[None]:
    """Give layers that are made while the block runs a dtype policy; afterwards all is as before.

    Args:
        policy: a policy, its name or its configuration; None for that of today.

    Example:
        >>> with dtype_scope("mixed_bfloat16"):
        ...     layer = keras.layers.Dense(2)
        >>> layer.compute_dtype, keras.layers.Dense(2).compute_dtype
        ('bfloat16', 'float32')
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(keras.dtype_policies.get(before if policy is None else policy))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
