"""From a preset's name to its directory."""

import difflib
from pathlib import Path

from cpc_keras.presets.list_presets import preset_directories


def preset_directory(name: str) -> Path:
    """Return the directory of a shipped preset.

    Args:
        name: one of `list_presets()`.

    Returns:
        The directory: in the installed package, or `saved_models/` of a checkout.

    Raises:
        ValueError: no shipped preset is called that; the names there are, and the closest.

    Example:
        >>> encoder = tf.keras.models.load_model(preset_directory("cpc_v2_small_mnist5k"))
    """
    directories = preset_directories()
    if name in directories:
        return directories[name]
    closest = difflib.get_close_matches(str(name), directories, n=1)
    raise ValueError(
        f"No preset is called {name!r}"
        + (f"; did you mean {closest[0]!r}? " if closest else ". ")
        + f"Shipped presets: {', '.join(directories) or 'none'}. A path to a directory written by "
        "model.export(...) may be given as well; nothing lies at that path."
    )
