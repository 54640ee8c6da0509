"""Contrastive predictive coding on Keras: learn image features without labels."""

import importlib
import pathlib
import sys
from typing import TYPE_CHECKING

from cpc_keras.version import __version__

# Everyone but the command gets the models now: Keras opens a file's classes by their names only
# once they have been imported. The command imports them with its sub-commands, since Keras takes
# seconds and `cpc-keras --help` should not.
if TYPE_CHECKING or pathlib.Path(sys.argv[0]).stem != "cpc-keras":
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
    homes = {"CPCModel": "models", "InfoNCE": "losses", "check_leakage": "evaluation"}
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"cpc_keras.{homes.get(name, 'layers')}"), name)


def __dir__():
    return sorted(__all__)
