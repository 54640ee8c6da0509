"""Contrastive predictive coding on Keras: learn image features without labels."""

from typing import TYPE_CHECKING

from cpc_keras.layers import (
    GatedPixelCNN,
    MaskedContext,
    OffsetPrediction,
    PatchGrid,
    RowGRU,
    context_network,
)
from cpc_keras.losses import InfoNCE
from cpc_keras.models import CPCModel
from cpc_keras.version import __version__

if TYPE_CHECKING:
    from cpc_keras.evaluation import check_leakage

__all__ = [
    "CPCModel",
    "GatedPixelCNN",
    "InfoNCE",
    "MaskedContext",
    "OffsetPrediction",
    "PatchGrid",
    "RowGRU",
    "__version__",
    "check_leakage",
    "context_network",
]


def __getattr__(name):
    # What a model is judged with is imported when it is asked for: `import cpc_keras` stays cheap.
    if name == "check_leakage":
        from cpc_keras.evaluation import check_leakage

        return check_leakage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
