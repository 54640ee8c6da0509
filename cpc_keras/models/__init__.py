"""The user's door."""

from cpc_keras.models.cpc_model import CPCModel

__all__ = ["CPCModel"]
