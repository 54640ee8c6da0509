"""Which images get a method's settings for small ones."""

# CIFAR-10, STL-10 cut to 64, Tiny ImageNet: what papers call small.
LARGEST_SMALL_SIDE = 64


def is_small(image_shape: tuple[int, int, int]) -> bool:
    """Tell whether images get a method's settings for small images, or those for ImageNet.

    Args:
        image_shape: `(height, width, channels)`.

    Returns:
        Whether the shorter side is at most 64 pixels.

    Example:
        >>> is_small((32, 32, 3)), is_small((224, 224, 3))
        (True, False)
    """
    return min(image_shape[:2]) <= LARGEST_SMALL_SIDE
