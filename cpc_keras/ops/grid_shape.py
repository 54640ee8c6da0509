"""How many patches an image side gives."""


def grid_shape(
    image_size: tuple[int, int], *, patch_size: int, patch_stride: int
) -> tuple[int, int]:
    """Return the number of patch rows and columns of an image.

    A side of `s` pixels gives `(s - patch_size) / patch_stride + 1` patches (CPC v2, 260 pixels
    with patches of 80 at stride 36: 6). Sides that leave a rest are refused: the rest would be
    pixels that no patch sees.

    Args:
        image_size: height and width, in pixels.
        patch_size: side of the square patches, in pixels, at least 1.
        patch_stride: step from one patch to the next, in pixels, at least 1.

    Returns:
        `(rows, columns)`, each at least 1.

    Raises:
        ValueError: a side is smaller than a patch, or gives no whole grid.

    Example:
        >>> grid_shape((260, 260), patch_size=80, patch_stride=36)
        (6, 6)
    """
    for name, value in (("patch_size", patch_size), ("patch_stride", patch_stride)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} must be a whole number of pixels >= 1. Received: {value!r}.")
    counts = []
    for axis, side in zip(("height", "width"), image_size, strict=True):
        if side < patch_size:
            raise ValueError(
                f"The image {axis} of {side} pixels is smaller than a patch of {patch_size}. "
                f"Use larger images or patch_size <= {side}."
            )
        steps, rest = divmod(side - patch_size, patch_stride)
        if rest:
            below, above = side - rest, side - rest + patch_stride
            raise ValueError(
                f"An image {axis} of {side} pixels gives no whole grid of patches of {patch_size} "
                f"at stride {patch_stride}: {rest} pixels are left over. The nearest sizes that "
                f"do are {below} and {above}: resize, crop or pad to one of them."
            )
        counts.append(steps + 1)
    return counts[0], counts[1]
