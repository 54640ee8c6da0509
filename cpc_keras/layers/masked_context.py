"""Codes to contexts that see no row below."""

import keras
from keras import layers


@keras.saving.register_keras_serializable("cpc_keras")
class MaskedContext(layers.Layer):
    """Summarises, for each grid position, the rows above it and its own row.

    The context network of CPC v2 (Henaff et al. 2019, arXiv:1905.09272, appendix): a residual
    stack; each block is a 1x1 convolution, ReLU, a 1x3 convolution, one row of zeros on top, a 2x1
    convolution without padding, ReLU, and a 1x1 convolution back to the codes' width; one ReLU ends
    the stack. The context in row r sees the rows r - num_blocks .. r and `num_blocks` columns to
    each side, and never a row below. No normalisation: statistics over the grid would leak.

    Args:
        num_blocks: residual blocks, at least 1. The paper's are 5.
        filters: channels inside a block. The paper's are 256.

    Call arguments:
        inputs: codes, `[batch, rows, columns, dim]`.

    Returns:
        Contexts, `[batch, rows, columns, dim]`, not negative.

    Raises:
        ValueError: no block, or no filter.

    Example:
        >>> tuple(MaskedContext(2, filters=16)(np.zeros((1, 7, 5, 32))).shape)
        (1, 7, 5, 32)
    """

    def __init__(self, num_blocks: int = 5, *, filters: int = 256, **kwargs):
        super().__init__(**kwargs)
        if num_blocks < 1 or filters < 1:
            raise ValueError(
                "MaskedContext needs num_blocks >= 1 and filters >= 1. "
                f"Received: num_blocks={num_blocks}, filters={filters}."
            )
        self.num_blocks = num_blocks
        self.filters = filters

    def build(self, input_shape):
        """Create the blocks for the codes' width."""
        dim = input_shape[-1]

        def block(index):
            name = f"{self.name}_block_{index}"
            # Rows and columns stay open: the rows of zeros let even a single row pass.
            shapes = [(None, None, None, n) for n in (dim, self.filters)]
            own = {"dtype": self.dtype_policy}
            parts = [
                layers.Conv2D(self.filters, 1, activation="relu", name=f"{name}_in", **own),
                layers.Conv2D(self.filters, (1, 3), padding="same", name=f"{name}_row", **own),
                layers.ZeroPadding2D(((1, 0), (0, 0)), name=f"{name}_pad", **own),
                layers.Conv2D(self.filters, (2, 1), activation="relu", name=f"{name}_above", **own),
                layers.Conv2D(dim, 1, name=f"{name}_out", **own),
            ]
            for part, shape in zip(parts, shapes[:1] + shapes[1:] * 4, strict=True):
                part.build(shape)
            return parts

        self.blocks = [block(i) for i in range(self.num_blocks)]
        self.built = True

    def call(self, inputs):
        """Compute the contexts."""
        total = inputs
        for block in self.blocks:
            x = total
            for part in block:
                x = part(x)
            total = total + x
        return keras.ops.relu(total)

    def compute_output_shape(self, input_shape):
        """Return the shape of the codes."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_blocks": self.num_blocks, "filters": self.filters}
