"""The configuration of a Keras model that older versions of Keras read too."""

import re
from typing import Any

# Before, loading fails on networks that call an operation several times, such as `RowGRU`.
OLDEST_KERAS = "3.7"

# Arguments that layers and initializers got since, with the value that is what there was before.
NEW_ARGUMENTS = {
    "antialias": False,
    "gptq_unpacked_column_size": None,
    "input_axes": None,
    "lora_alpha": None,
    "output_axes": None,
    "output_padding": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
    "salt": None,
    "sliding_window": None,
    "use_gate": False,
}


def portable_config(config: Any) -> Any:
    """Leave out of a model's configuration what Keras 3.7 does not know.

    Keras writes every argument of every layer, also those that came with its newest version, and an
    older one refuses them. Left out are the arguments of `NEW_ARGUMENTS` where they have no effect,
    and the names of operations (`keras.ops`), which Keras makes up again; not of those that share
    their stem with a layer of the same model, which could then meet in one name.

    Args:
        config: what `config.json` of a saved model holds, or any part of it.

    Returns:
        The same without those arguments, for this version of Keras as well.

    Example:
        >>> dense = {"module": "keras.layers", "class_name": "Dense",
        ...          "config": {"units": 2, "quantization_config": None}}
        >>> portable_config(dense)["config"]
        {'units': 2}
    """
    if isinstance(config, list):
        return [portable_config(value) for value in config]
    if not isinstance(config, dict):
        return config
    config = {key: portable_config(value) for key, value in config.items()}
    inner = config.get("config")
    if isinstance(inner, dict) and _is_of_keras(config):
        config["config"] = {key: v for key, v in inner.items() if not _is_idle(key, v)}
        _drop_names(inner.get("layers"))
    return config


def _is_of_keras(config):
    return re.match(r"keras(\.|$)", str(config.get("module"))) is not None


def _is_idle(key, value):
    # By type as well: 0 is not False.
    return key in NEW_ARGUMENTS and repr(value) == repr(NEW_ARGUMENTS[key])


def _drop_names(layers):
    parts = [part for part in layers or () if isinstance(part, dict)]
    operations = [part for part in parts if str(part.get("module")).startswith("keras.src.ops.")]
    taken = {_stem(part) for part in parts if part not in operations}
    for part in operations:
        if _stem(part) not in taken:
            part.get("config", {}).pop("name", None)


def _stem(part):
    return re.sub(r"_\d+$", "", str(part.get("name")))
