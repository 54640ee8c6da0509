"""Pure tensor functions: no state, no layers, any Keras backend."""

from cpc_keras.ops.extract_patches import extract_patches
from cpc_keras.ops.grid_shape import grid_shape
from cpc_keras.ops.info_nce import info_nce
from cpc_keras.ops.luminance import luminance
from cpc_keras.ops.rotate_grid import DIRECTIONS, rotate_grid
from cpc_keras.ops.sample_bilinear import sample_bilinear

__all__ = [
    "DIRECTIONS",
    "extract_patches",
    "grid_shape",
    "info_nce",
    "luminance",
    "rotate_grid",
    "sample_bilinear",
]
