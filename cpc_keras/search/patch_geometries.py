"""Which patches, strides and offsets an image allows."""

from collections.abc import Sequence

from cpc_keras.models.check_arguments import checked_image_shape
from cpc_keras.ops import grid_shape


def patch_geometries(
    image_shape: tuple[int, int, int],
    *,
    patch_sizes: Sequence[int] | None = None,
    largest_grid: int = 12,
    most_offsets: int = 3,
) -> dict[str, tuple[str, ...]]:
    """List the grids that `CPCModel` takes for an image, each with the offsets it leaves.

    A space of these holds no setting that the model would refuse: the grid is whole, no offset sees
    pixels of its target (`offset * stride >= patch`), and every offset leaves rows and columns to
    predict. Strides are half a patch, as in the papers, or a whole one.

    Args:
        image_shape: `(height, width, channels)`.
        patch_sizes: sides of patches to consider, in pixels; by default all even ones from 4 pixels
            to half of the shorter side.
        largest_grid: most rows or columns of a grid: the cost of a step grows with their product.
        most_offsets: longest run of offsets.

    Returns:
        From "PATCH/STRIDE" to the runs of offsets that it allows, such as "2,3,4"; the shortest
        offset that does not overlap comes first.

    Raises:
        ValueError: no grid fits.

    Example:
        >>> patch_geometries((32, 32, 3), patch_sizes=(8,))
        {'8/4': ('2', '2,3', '2,3,4'), '8/8': ('1', '1,2', '1,2,3')}
    """
    image_shape = checked_image_shape(image_shape)
    sides = image_shape[:2]
    if patch_sizes is None:
        patch_sizes = range(4, min(sides) // 2 + 1, 2)
    found = {}
    for size in patch_sizes:
        for stride in dict.fromkeys((max(1, size // 2), size)):
            try:
                grid = grid_shape(sides, patch_size=size, patch_stride=stride)
            except ValueError:
                continue  # no whole grid
            first = -(-size // stride)
            runs = [
                ",".join(str(first + k) for k in range(length))
                for length in range(1, most_offsets + 1)
                if first + length - 1 < min(grid)
            ]
            if runs and max(grid) <= largest_grid:
                found[f"{size}/{stride}"] = tuple(runs)
    if not found:
        raise ValueError(
            f"patch_geometries: no patches of {list(patch_sizes)} pixels give images of {sides[0]}x"
            f"{sides[1]} a whole grid of at most {largest_grid} rows and columns with something to "
            "predict. Resize the images (image_size=32, 48, 64, 96), or name patch_sizes that fit."
        )
    return found
