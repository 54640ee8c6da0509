"""Random layers that Keras lacks, and stacks of layers by name."""

from cpc_keras.augmentations.histogram_equalization import HistogramEqualization
from cpc_keras.augmentations.image_augmentation import IMAGE_AUGMENTATIONS, image_augmentation
from cpc_keras.augmentations.patch_augmentation import PATCH_AUGMENTATIONS, patch_augmentation
from cpc_keras.augmentations.random_affine import RandomAffine
from cpc_keras.augmentations.random_apply import RandomApply
from cpc_keras.augmentations.random_blur import RandomBlur
from cpc_keras.augmentations.random_channel_drop import RandomChannelDrop
from cpc_keras.augmentations.random_choice import RandomChoice
from cpc_keras.augmentations.random_color_jitter import RandomColorJitter
from cpc_keras.augmentations.random_elastic import RandomElastic
from cpc_keras.augmentations.random_enhance import RandomEnhance
from cpc_keras.augmentations.random_grayscale import RandomGrayscale
from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.augmentations.random_posterize import RandomPosterize
from cpc_keras.augmentations.random_resized_crop import RandomResizedCrop
from cpc_keras.augmentations.random_shift import RandomShift
from cpc_keras.augmentations.random_subcrop import RandomSubcrop
from cpc_keras.augmentations.random_tone_curve import RandomToneCurve

__all__ = [
    "IMAGE_AUGMENTATIONS",
    "PATCH_AUGMENTATIONS",
    "HistogramEqualization",
    "RandomAffine",
    "RandomApply",
    "RandomBlur",
    "RandomChannelDrop",
    "RandomChoice",
    "RandomColorJitter",
    "RandomElastic",
    "RandomEnhance",
    "RandomGrayscale",
    "RandomImageLayer",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomShift",
    "RandomSubcrop",
    "RandomToneCurve",
    "image_augmentation",
    "patch_augmentation",
]
