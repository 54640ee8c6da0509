"""The shipped presets and their facts."""

from pathlib import Path
from typing import Any

from cpc_keras.export.verify_artifact import read_preset

_PACKAGE = Path(__file__).resolve().parents[1]


def list_presets() -> dict[str, dict[str, Any]]:
    """Return the shipped presets by name, with what their `preset.json` holds.

    Returns:
        Name to facts: "description", "data", "scores", "model" (with "image_shape"), "licence", ...
        Sorted by name; empty where none are installed.

    Raises:
        ArtifactError: a `preset.json` cannot be read or is of another format.

    Example:
        >>> list_presets()["cpc_v2_small_mnist5k"]["model"]["image_shape"]
        [28, 28, 1]
    """
    return {name: read_preset(path) for name, path in preset_directories().items()}


def preset_directories() -> dict[str, Path]:
    """Return the directory of each shipped preset, by name."""
    places = [_PACKAGE / "saved_models"]
    # Of a checkout only: beside an installed package the folder would be somebody else's.
    if (_PACKAGE.parent / "setup.py").is_file():
        places.append(_PACKAGE.parent / "saved_models")
    found = {
        file.parent.name: file.parent
        for place in reversed(places)
        for file in place.glob("*/preset.json")
        if not file.parent.name.startswith(".")
    }
    return dict(sorted(found.items()))
