"""Image augmentations by name."""

import keras
from keras import layers

from cpc_keras.augmentations.random_shift import RandomShift

IMAGE_AUGMENTATIONS = ("none", "digits", "photos")


def image_augmentation(name: str, image_shape: tuple[int, int, int]) -> keras.Sequential | None:
    """Return a stack of random layers that keeps the class of an image.

    | name | what it does |
    |---|---|
    | `"none"` | nothing |
    | `"digits"` | rotation by up to 15 degrees, zoom and shift by up to a tenth; dark borders |
    | `"photos"` | horizontal flip, shift by up to an eighth of the side |

    Args:
        name: one of the above.
        image_shape: `(height, width, channels)`.

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
    if name == "digits":
        stack = [
            layers.RandomRotation(15 / 360, fill_mode="constant"),
            layers.RandomZoom(0.1, 0.1, fill_mode="constant"),
            layers.RandomTranslation(0.1, 0.1, fill_mode="constant"),
        ]
    elif name == "photos":
        stack = [layers.RandomFlip("horizontal"), RandomShift(max(1, min(image_shape[:2]) // 8))]
    else:
        raise ValueError(
            f"The image augmentation must be one of {IMAGE_AUGMENTATIONS}. Received: {name!r}."
        )
    return keras.Sequential([keras.Input(image_shape), *stack], name=f"augment_{name}")
