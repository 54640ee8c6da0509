"""Pure tensor functions: no state, no layers, any Keras backend."""

from cpc_keras.ops.cut_tiles import cut_tiles
from cpc_keras.ops.extract_patches import extract_patches
from cpc_keras.ops.gather_replicas import gather_replicas
from cpc_keras.ops.grid_shape import grid_shape
from cpc_keras.ops.in_chunks import in_chunks
from cpc_keras.ops.info_nce import info_nce
from cpc_keras.ops.kl_divergence import kl_divergence
from cpc_keras.ops.kl_hessian_product import kl_hessian_product
from cpc_keras.ops.l2_normalize import l2_normalize
from cpc_keras.ops.luminance import luminance
from cpc_keras.ops.num_replicas import num_replicas
from cpc_keras.ops.rotate_grid import DIRECTIONS, rotate_grid
from cpc_keras.ops.sample_bilinear import sample_bilinear
from cpc_keras.ops.scan import scan
from cpc_keras.ops.split_pairs import split_pairs
from cpc_keras.ops.streamed_info_nce import streamed_info_nce
from cpc_keras.ops.take_rows import take_rows
from cpc_keras.ops.virtual_adversarial_direction import virtual_adversarial_direction

__all__ = [
    "DIRECTIONS",
    "cut_tiles",
    "extract_patches",
    "gather_replicas",
    "grid_shape",
    "in_chunks",
    "info_nce",
    "kl_divergence",
    "kl_hessian_product",
    "l2_normalize",
    "luminance",
    "num_replicas",
    "rotate_grid",
    "sample_bilinear",
    "scan",
    "split_pairs",
    "streamed_info_nce",
    "take_rows",
    "virtual_adversarial_direction",
]
