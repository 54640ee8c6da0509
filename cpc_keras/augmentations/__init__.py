"""Random layers that Keras lacks."""

from cpc_keras.augmentations.random_channel_drop import RandomChannelDrop
from cpc_keras.augmentations.random_shift import RandomShift

__all__ = ["RandomChannelDrop", "RandomShift"]
