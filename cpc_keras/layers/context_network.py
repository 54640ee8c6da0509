"""From a name or a layer to a checked context network."""

import keras

from cpc_keras.layers.gated_pixel_cnn import GatedPixelCNN
from cpc_keras.layers.masked_context import MaskedContext
from cpc_keras.layers.refuse_batch_normalization import refuse_batch_normalization
from cpc_keras.layers.row_gru import RowGRU

CONTEXT_NETWORKS = {
    "gated_pixel_cnn": GatedPixelCNN,
    "masked": MaskedContext,
    "row_gru": RowGRU,
}


def context_network(
    network: str | keras.layers.Layer,
    *,
    codes_shape: tuple[int, int, int],
    num_blocks: int | None = None,
    filters: int | None = None,
    name: str = "context_network",
) -> keras.layers.Layer:
    """Return the context network that a name stands for, or check the one that was given.

    | name | layer | what a position sees of the rows above |
    |---|---|---|
    | `"masked"` | `MaskedContext` | `num_blocks` rows, `num_blocks` columns to each side |
    | `"gated_pixel_cnn"` | `GatedPixelCNN` | `num_blocks + 1` rows, as many columns as above |
    | `"row_gru"` | `RowGRU` | all rows, in a triangle that opens upwards |

    A layer of your own takes codes `[batch, rows, columns, dim]` and returns contexts of the same
    shape, in which row r depends on the rows <= r alone. It is shared by all directions and so must
    take grids that are turned, and, since the contexts of the last rows predict nothing, fewer rows
    than the grid has. The shapes are tried here on zeros; what depends on what, `check_leakage`
    proves. To load with `features="contexts"` where this package is not installed, its `call` must
    consist of stock layers and `keras.ops`.

    Args:
        network: a name of `CONTEXT_NETWORKS` or a `keras.layers.Layer`.
        codes_shape: `(rows, columns, dim)` of the grid of codes.
        num_blocks: of the named networks; by default each network's own.
        filters: channels inside them; by default each network's own.
        name: of the layer that a name stands for.

    Returns:
        The layer, built.

    Raises:
        ValueError: unknown name, `num_blocks` or `filters` with a layer, a layer that does not keep
            the shape, or trainable batch normalisation.

    Example:
        >>> network = context_network("row_gru", codes_shape=(7, 7, 32), filters=16)
        >>> tuple(network(np.zeros((2, 5, 7, 32))).shape)
        (2, 5, 7, 32)
    """
    given = {"num_blocks": num_blocks, "filters": filters}
    given = {key: value for key, value in given.items() if value is not None}
    if isinstance(network, str):
        if network not in CONTEXT_NETWORKS:
            raise ValueError(
                f"context_network must be one of {sorted(CONTEXT_NETWORKS)} or a "
                f"keras.layers.Layer. Received: {network!r}."
            )
        layer = CONTEXT_NETWORKS[network](name=name, **given)
        layer.build((None, *codes_shape))
        return layer
    if not isinstance(network, keras.layers.Layer):
        raise ValueError(
            "context_network must be a name or a keras.layers.Layer from codes to contexts. "
            f"Received: {network!r} of type {type(network).__name__}."
        )
    if given:
        raise ValueError(
            f"num_blocks and filters are those of the named networks, {sorted(CONTEXT_NETWORKS)}. "
            f"Received {given} together with the layer {network.name!r}: set them in the layer."
        )
    _check_shapes(network, codes_shape)
    # Now that it is built and all its layers exist.
    refuse_batch_normalization(network, role="context network", spanned="all rows of all images")
    return network


def _check_shapes(network, codes_shape):
    rows, columns, dim = codes_shape
    # The grid, then turned, then without its last row: the shapes in which it will be called.
    grids = dict.fromkeys([(rows, columns), (columns, rows), (max(rows - 1, 1), columns)])
    for grid in grids:
        shape = (1, *grid, dim)
        try:
            # Real codes: symbolic calls of functional models do not check what layers take.
            contexts = network(keras.ops.zeros(shape))
        except Exception as error:
            raise ValueError(
                f"The context network {network.name!r} does not take codes of shape {shape}. It "
                "must take the grid, the grid turned by a quarter, and fewer rows: in a model "
                f"leave rows and columns open, Input((None, None, {dim})). {error}"
            ) from error
        received = getattr(contexts, "shape", None)
        if received is None or tuple(received) != shape:
            raise ValueError(
                f"The context network {network.name!r} must keep the shape of the codes: contexts "
                f"of shape {shape} were expected for codes of that shape. Received: "
                f"{type(contexts).__name__ if received is None else tuple(received)}. "
                'Use padding="same" and end with as many channels as the codes have.'
            )
