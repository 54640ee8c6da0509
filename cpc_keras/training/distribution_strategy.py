"""Which devices of a machine train together."""

import contextlib

import keras

STRATEGIES = ("auto", "none", "mirrored")


def distribution_strategy(name: str = "auto"):
    """Return the `tf.distribute` strategy that a name stands for.

    | name | trains on |
    |---|---|
    | `"auto"` | all GPUs of the machine where there are several, otherwise one device |
    | `"mirrored"` | all GPUs of the machine, which share each batch (`MirroredStrategy`) |
    | `"none"` | one device |

    Args:
        name: one of the above.

    Returns:
        A strategy, or `None` for one device and on other backends than TensorFlow, where "auto" is
        "none".

    Raises:
        ValueError: unknown name, or "mirrored" on another backend than TensorFlow.

    Example:
        >>> distribution_strategy("none") is None
        True
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}. Received: {name!r}.")
    if keras.backend.backend() != "tensorflow":
        if name == "mirrored":
            raise ValueError(
                'strategy="mirrored" is TensorFlow\'s. Received it on the Keras backend '
                f'{keras.backend.backend()!r}. Use strategy="none", or KERAS_BACKEND=tensorflow.'
            )
        return None
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return None
    return tf.distribute.MirroredStrategy()


def scope_of(strategy):
    """Return the context in which a strategy's variables are made; `None` needs none."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()
