"""The README of an artifact."""

import json
from typing import Any

from cpc_keras.export.portable_config import OLDEST_KERAS


def model_card(preset: dict[str, Any]) -> str:
    """Write the model card of an artifact: what it is, how to load it, what it is worth.

    Args:
        preset: what `preset.json` holds.

    Returns:
        Markdown.

    Example:
        >>> print(model_card(verify_artifact("saved_models/mine")).splitlines()[0])
        # mine
    """
    model = preset["model"]
    height, width, channels = model["image_shape"]
    # The argument of models that learn from labels.
    by_labels = "num_classes" in model
    parts = [
        f"# {preset['name']}",
        preset["description"]
        or f"An image encoder that was trained {'with' if by_labels else 'without'} labels; its "
        "features go into a classifier, a nearest-neighbour search or a detector.",
        f"- Method: {preset['method']}\n"
        f"- Input: images `[batch, {height}, {width}, {channels}]`, uint8 or float in [0, 255], "
        "channels last; scaling is inside the model\n"
        f"- Output: features `[batch, {model['feature_dim']}]`, float32\n"
        f"- Parameters: {model['num_parameters']:,}\n"
        f"- Trained on: {preset['data'] or 'not recorded'}\n"
        f"- Licence: {preset['licence']}",
        _LOADING.replace("CLASS", model["class"])
        .replace("KERAS", _kerases(preset["versions"]["keras"]))
        .replace("NAME", preset["name"])
        .replace("SHAPE", f"(2, {height}, {width}, {channels})")
        .replace("FURTHER", "further" if by_labels else "further without labels"),
        "## Scores",
        _table(preset["scores"]) if preset["scores"] else "None recorded.",
        "## Training",
        f"```\n{preset['command']}\n```" if preset["command"] else "Command not recorded.",
        _table([{"setting": k, "value": v} for k, v in {**model, **preset["facts"]}.items()]),
        "Exported " + preset["created"] + " with " + _listed(preset["versions"]) + ".",
        "`preset.json` holds all of this for programs, and the SHA-256 of every file; `golden.npz` "
        "holds images and their features, to check an installation with.",
    ]
    return "\n\n".join(parts) + "\n"


_LOADING = """\
## Loading

Nothing but TensorFlow is needed. The Keras model loads with Keras KERAS; with older ones, and
with `tf_keras`, use the layer, the SavedModel or `hub.KerasLayer("NAME",
signature="serving_default", output_key="output_0")` of tensorflow-hub.

```python
import numpy as np
import tensorflow as tf

images = np.random.randint(0, 256, SHAPE).astype("uint8")

# 1. A Keras model, to train on.
encoder = tf.keras.models.load_model("NAME")
classifier = tf.keras.Sequential([encoder, tf.keras.layers.Dense(10)])

# 2. A Keras layer that only computes. Its endpoint "serve" takes float32, "serve_uint8" uint8.
layer = tf.keras.layers.TFSMLayer("NAME", call_endpoint="serve_uint8")
features = layer(images)

# 3. A plain SavedModel, as TensorFlow Serving loads it. Keep `saved` while you call it.
saved = tf.saved_model.load("NAME")
features = saved.serve_uint8(images)
```

With cpc_keras, to train the encoder FURTHER:

```python
from cpc_keras.models import CLASS

model = CLASS.from_preset("NAME")
model.compile(optimizer="adamw")  # Then `fit`, with an optimizer of your own.
```"""


def _kerases(newest):
    return f"{OLDEST_KERAS} to {'.'.join(newest.split('.')[:2])}"


def _table(rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns)]
    lines += [[_cell(row.get(column)) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value):
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _listed(versions):
    return ", ".join(f"{name} {version}" for name, version in versions.items())
