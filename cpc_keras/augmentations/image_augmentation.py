"""Image augmentations by name."""

import itertools

import keras
from keras import layers

from cpc_keras.augmentations.random_apply import RandomApply
from cpc_keras.augmentations.random_blur import RandomBlur
from cpc_keras.augmentations.random_color_jitter import RandomColorJitter
from cpc_keras.augmentations.random_enhance import RandomEnhance
from cpc_keras.augmentations.random_grayscale import RandomGrayscale
from cpc_keras.augmentations.random_resized_crop import RandomResizedCrop
from cpc_keras.augmentations.random_shift import RandomShift

IMAGE_AUGMENTATIONS = ("none", "digits", "photos", "simclr", "simclr_small", "instance")


def image_augmentation(
    name: str, image_shape: tuple[int, int, int], *, seed: int | None = None
) -> keras.Sequential | None:
    """Return a stack of random layers that keeps the class of an image.

    | name | what it does |
    |---|---|
    | `"none"` | nothing |
    | `"digits"` | rotation by up to 15 degrees, zoom and shift by up to a tenth; dark borders |
    | `"photos"` | horizontal flip, shift by up to an eighth of the side |
    | `"simclr"` | crop of 8 to 100 % of the area, flip, colour jitter, greyscale, blur |
    | `"simclr_small"` | the same without blur and with half the jitter |
    | `"instance"` | crop of 20 to 100 % of the area, greyscale, colour jitter, flip |

    Two are SimCLR's for ImageNet and for CIFAR-10 (Chen et al. 2020, arXiv:2002.05709,
    appendices A and B.9): jitter with probability 0.8 (brightness, contrast and saturation 0.8, hue
    0.2, times the strength 1 or 0.5), greyscale 0.2, blur 0.5. The last is that of instance
    discrimination (Wu et al. 2018, arXiv:1805.01978), by the authors' code: greyscale 0.2, then
    jitter 0.4 of all four, always, brightness by a factor; there the four come in a random order.
    Images of one channel leave out what concerns colour.

    Args:
        name: one of the above.
        image_shape: `(height, width, channels)`.
        seed: integer, from which each layer gets another; `None`: unforeseeable.

    Returns:
        Layer that acts in training only, or `None` for "none".

    Raises:
        ValueError: unknown name.

    Example:
        >>> image_augmentation("photos", (32, 32, 3))(np.zeros((2, 32, 32, 3))).shape
        TensorShape([2, 32, 32, 3])
    """
    if name == "none":
        return None
    # Each its own seed: from the same one, what a layer draws would follow from another's draw.
    seeds = itertools.repeat(None) if seed is None else itertools.count(seed)
    if name == "digits":
        stack = [
            layers.RandomRotation(15 / 360, fill_mode="constant", seed=next(seeds)),
            layers.RandomZoom(0.1, 0.1, fill_mode="constant", seed=next(seeds)),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant", seed=next(seeds)),
        ]
    elif name == "photos":
        stack = [
            layers.RandomFlip("horizontal", seed=next(seeds)),
            RandomShift(max(1, min(image_shape[:2]) // 8), seed=next(seeds)),
        ]
    elif name in ("simclr", "simclr_small"):
        stack = _simclr(image_shape[-1], seeds, strength=1.0 if name == "simclr" else 0.5)
        if name == "simclr":
            stack.append(RandomApply(RandomBlur(seed=next(seeds)), 0.5, seed=next(seeds)))
    elif name == "instance":
        stack = _instance(image_shape[-1], seeds)
    else:
        raise ValueError(
            f"The image augmentation must be one of {IMAGE_AUGMENTATIONS}. Received: {name!r}."
        )
    return keras.Sequential([keras.Input(image_shape), *stack], name=f"augment_{name}")


def _simclr(channels, seeds, *, strength):
    jitter = {name: 0.8 * strength for name in ("brightness", "contrast", "saturation")}
    recolor = RandomColorJitter(**jitter, hue=0.2 * strength, seed=next(seeds))
    stack = [
        RandomResizedCrop((0.08, 1.0), seed=next(seeds)),
        layers.RandomFlip("horizontal", seed=next(seeds)),
        RandomApply(recolor, 0.8, seed=next(seeds)),
    ]
    if channels > 1:
        stack.append(RandomGrayscale(0.2, seed=next(seeds)))
    return stack


def _instance(channels, seeds):
    stack = [RandomResizedCrop((0.2, 1.0), seed=next(seeds))]
    if channels > 1:
        stack.append(RandomGrayscale(0.2, seed=next(seeds)))
    colors = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.4, "hue": 0.4}
    stack += [
        RandomEnhance("brightness", (0.6, 1.4), seed=next(seeds)),
        RandomEnhance("contrast", (0.6, 1.4), seed=next(seeds)),
    ]
    if channels > 1:
        stack.append(RandomColorJitter(**colors, seed=next(seeds)))
    stack.append(layers.RandomFlip("horizontal", seed=next(seeds)))
    return stack
