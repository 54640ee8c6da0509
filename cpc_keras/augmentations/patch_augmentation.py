"""Patch augmentations by name."""

import itertools

import keras
from keras import layers

from cpc_keras.augmentations.histogram_equalization import HistogramEqualization
from cpc_keras.augmentations.random_affine import RandomAffine
from cpc_keras.augmentations.random_apply import RandomApply
from cpc_keras.augmentations.random_channel_drop import RandomChannelDrop
from cpc_keras.augmentations.random_choice import RandomChoice
from cpc_keras.augmentations.random_color_jitter import RandomColorJitter
from cpc_keras.augmentations.random_elastic import RandomElastic
from cpc_keras.augmentations.random_enhance import RandomEnhance
from cpc_keras.augmentations.random_grayscale import RandomGrayscale
from cpc_keras.augmentations.random_posterize import RandomPosterize
from cpc_keras.augmentations.random_shift import RandomShift
from cpc_keras.augmentations.random_subcrop import RandomSubcrop
from cpc_keras.augmentations.random_tone_curve import RandomToneCurve

PATCH_AUGMENTATIONS = ("none", "light", "cpc_v1", "cpc_v2")
# What saved models may still call them.
OLDER_NAMES = {"default": "light"}


def patch_augmentation(
    name: str, patch_shape: tuple[int, int, int], *, seed: int | None = None
) -> keras.Sequential | None:
    """Return a stack of random layers for patches, each of which is augmented alone.

    | name | what it does |
    |---|---|
    | `"none"` | nothing |
    | `"light"` | shift by up to a sixteenth of the patch, colour dropping |
    | `"cpc_v1"` | a sub-crop of 60/64 of the side, padded back (van den Oord et al. 2018, \
arXiv:1807.03748) |
    | `"cpc_v2"` | the steps below (Henaff et al. 2019, arXiv:1905.09272, later versions) |

    CPC v2, in order; where it stands says whether a value was read in public code ("read") or is
    recalled from the paper ("recalled"). Magnitudes that nobody publishes are those of the code
    that the paper builds on.

    1. Twice: one of AutoAugment's operations (Cubuk et al. 2018, arXiv:1805.09501). Two of them,
       recalled and read in a public port. Ranges, read there and in AutoAugment's table 6: shear
       along one axis up to 0.3, rotation up to 30 degrees, posterization to 4..8 bits,
       solarization from any threshold, colour, contrast, brightness and sharpness factors 0.1 to
       1.9, inversion, auto-contrast, equalization; translation and a grey square, up to a third of
       the side as in that port (AutoAugment's pixels are those of larger images). Not sample
       pairing, which mixes another patch of the batch in, and so what is to be predicted.
    2. With probability 0.2 elastic deformation and shearing, with 0.2 a change of the colour
       histogram (recalled; primitives of De Fauw et al. 2018, their code's magnitudes read).
    3. With probability 0.8 a colour distortion (recalled; Szegedy et al. 2014, arXiv:1409.4842,
       ranges read in its TensorFlow code).
    4. With probability 0.25 no colour (recalled and read in that port).

    Patches of one channel leave out what concerns colour.

    Args:
        name: one of the above.
        patch_shape: `(height, width, channels)` of a patch.
        seed: integer, from which each layer gets another; `None`: unforeseeable.

    Returns:
        Layer named "patch_augmentation" that acts in training only, or `None` for "none".

    Raises:
        ValueError: unknown name.

    Example:
        >>> augment = patch_augmentation("cpc_v2", (8, 8, 3), seed=0)
        >>> augment(np.zeros((49, 8, 8, 3)), training=True).shape
        TensorShape([49, 8, 8, 3])
    """
    name = OLDER_NAMES.get(name, name)
    if name not in PATCH_AUGMENTATIONS:
        raise ValueError(
            f"The patch augmentation must be one of {PATCH_AUGMENTATIONS}. Received: {name!r}."
        )
    if name == "none":
        return None
    side, channels = min(patch_shape[:2]), patch_shape[-1]
    # Each its own seed: from the same one, what a layer draws would follow from another's draw.
    seeds = itertools.repeat(None) if seed is None else itertools.count(seed)
    if name == "light":
        stack = [RandomShift(max(1, side // 16), seed=next(seeds))]
        stack += [RandomChannelDrop(seed=next(seeds))] if channels > 1 else []
    elif name == "cpc_v1":
        stack = [RandomSubcrop(max(1, min(side - 1, side * 60 // 64)), seed=next(seeds))]
    else:
        stack = _cpc_v2(side, channels, seeds)
    return keras.Sequential(stack, name="patch_augmentation")


def _cpc_v2(side, channels, seeds):
    stack = [RandomChoice(_auto_augment(side, channels, seeds), seed=next(seeds)) for _ in range(2)]
    for layer, rate in (
        (RandomElastic(shear=0.1, seed=next(seeds)), 0.2),
        (RandomToneCurve(seed=next(seeds)), 0.2),
        (RandomColorJitter(seed=next(seeds)), 0.8),
    ):
        stack.append(RandomApply(layer, rate, seed=next(seeds)))
    return stack + ([RandomGrayscale(0.25, seed=next(seeds))] if channels > 1 else [])


def _auto_augment(side, channels, seeds):
    kinds = ("brightness", "contrast", "sharpness") + (("color",) if channels > 1 else ())
    return [
        RandomAffine(shear=(0.3, 0.0), seed=next(seeds)),
        RandomAffine(shear=(0.0, 0.3), seed=next(seeds)),
        RandomAffine(translation=(1 / 3, 0.0), seed=next(seeds)),
        RandomAffine(translation=(0.0, 1 / 3), seed=next(seeds)),
        RandomAffine(30, seed=next(seeds)),
        *[RandomEnhance(kind, (0.1, 1.9), seed=next(seeds)) for kind in kinds],
        RandomPosterize((4, 8), seed=next(seeds)),
        HistogramEqualization(),
        # Of these Keras's own layers do what is wanted, within a layer that turns them off.
        layers.AutoContrast(),
        layers.RandomInvert((1.0, 1.0), seed=next(seeds)),
        layers.Solarization(threshold_factor=(0.0, 1.0), seed=next(seeds)),
        # The scale is a share of the area, drawn anew for each side: from one pixel to a third.
        layers.RandomErasing(
            (1.0, 1.0), scale=(1 / side**2, 1 / 9), fill_value=128, seed=next(seeds)
        ),
    ]
