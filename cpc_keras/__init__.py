"""Contrastive predictive coding on Keras: learn image features without labels."""

from cpc_keras.layers import MaskedContext, OffsetPrediction, PatchGrid
from cpc_keras.losses import InfoNCE
from cpc_keras.models import CPCModel
from cpc_keras.version import __version__

__all__ = [
    "CPCModel",
    "InfoNCE",
    "MaskedContext",
    "OffsetPrediction",
    "PatchGrid",
    "__version__",
]
