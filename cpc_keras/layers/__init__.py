"""Layers of contrastive predictive coding."""

from cpc_keras.layers.masked_context import MaskedContext
from cpc_keras.layers.offset_prediction import OffsetPrediction
from cpc_keras.layers.patch_grid import PatchGrid

__all__ = ["MaskedContext", "OffsetPrediction", "PatchGrid"]
