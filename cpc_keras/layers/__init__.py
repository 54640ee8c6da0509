"""Layers of contrastive predictive coding."""

from cpc_keras.layers.context_network import CONTEXT_NETWORKS, context_network
from cpc_keras.layers.gated_pixel_cnn import GatedPixelCNN
from cpc_keras.layers.masked_context import MaskedContext
from cpc_keras.layers.memory_bank import MemoryBank
from cpc_keras.layers.offset_prediction import OffsetPrediction
from cpc_keras.layers.patch_grid import PatchGrid
from cpc_keras.layers.row_gru import RowGRU

__all__ = [
    "CONTEXT_NETWORKS",
    "GatedPixelCNN",
    "MaskedContext",
    "MemoryBank",
    "OffsetPrediction",
    "PatchGrid",
    "RowGRU",
    "context_network",
]
