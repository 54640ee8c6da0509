"""The catalogue of pre-trained models, and the way to load them."""

from cpc_keras.presets.list_presets import list_presets
from cpc_keras.presets.load_preset import load_preset
from cpc_keras.presets.preset_directory import preset_directory

__all__ = ["list_presets", "load_preset", "preset_directory"]
