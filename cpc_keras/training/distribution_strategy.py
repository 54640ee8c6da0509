"""Which devices and machines train together."""

import contextlib
import json
import os

import keras

STRATEGIES = ("auto", "none", "mirrored", "multi-worker")
TF_CONFIG_EXAMPLE = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


def distribution_strategy(name: str = "auto"):
    """Return the `tf.distribute` strategy that a name stands for.

    | name | who shares each batch |
    |---|---|
    | `"none"` | one device has it alone |
    | `"mirrored"` | all GPUs of the machine: `MirroredStrategy` |
    | `"multi-worker"` | all GPUs of all workers of `TF_CONFIG`: `MultiWorkerMirroredStrategy` |
    | `"auto"` | the workers of a `TF_CONFIG` with several, else the GPUs where there are several |

    The environment variable `TF_CONFIG` is TensorFlow's: the addresses of all workers, the same on
    each of them, and which of them this process is. Of several workers each waits here until all
    are there, and nothing of TensorFlow may have run before.

    Args:
        name: one of the above.

    Returns:
        A strategy, or `None` for one device and on other backends than TensorFlow, where "auto" is
        "none".

    Raises:
        ValueError: unknown name, "mirrored" or "multi-worker" on another backend than TensorFlow,
            or "multi-worker" without a `TF_CONFIG` that tells of workers.

    Example:
        >>> distribution_strategy("none") is None
        True
    """
    if name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {STRATEGIES}. Received: {name!r}.")
    if keras.backend.backend() != "tensorflow":
        if name in ("mirrored", "multi-worker"):
            raise ValueError(
                f"strategy={name!r} is TensorFlow's. Received it on the Keras backend "
                f'{keras.backend.backend()!r}. Use strategy="none", or KERAS_BACKEND=tensorflow.'
            )
        return None
    if name == "none":
        return None
    num_workers = _num_workers(name)
    import tensorflow as tf

    if name == "multi-worker" or (name == "auto" and num_workers > 1):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "auto" and len(tf.config.list_logical_devices("GPU")) < 2:
        return None
    return tf.distribute.MirroredStrategy()


def _num_workers(name):
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        cluster = config.get("cluster") or {}
        sizes = {kind: len(cluster.get(kind, ())) for kind in ("chief", "worker")}
        num_workers = sum(sizes.values())
        whole = not num_workers or 0 <= config["task"]["index"] < sizes[config["task"]["type"]]
    except (ValueError, AttributeError, KeyError, TypeError):
        num_workers, whole = 0, False
    if (text and not whole) or (name == "multi-worker" and not num_workers):
        raise ValueError(
            f"strategy={name!r} found TF_CONFIG={text!r}. Expected the addresses of all workers, "
            f"and which of them this is, such as TF_CONFIG='{TF_CONFIG_EXAMPLE}'. Set it on every "
            "worker, each with its own index, or unset it for one machine."
        )
    return num_workers


def scope_of(strategy):
    """Return the context in which a strategy's variables are made; `None` needs none."""
    return contextlib.nullcontext() if strategy is None else strategy.scope()
