"""Random layers that Keras lacks."""

from cpc_keras.augmentations.image_augmentation import IMAGE_AUGMENTATIONS, image_augmentation
from cpc_keras.augmentations.random_channel_drop import RandomChannelDrop
from cpc_keras.augmentations.random_shift import RandomShift

__all__ = ["IMAGE_AUGMENTATIONS", "RandomChannelDrop", "RandomShift", "image_augmentation"]
