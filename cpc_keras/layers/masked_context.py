"""Codes to contexts that see no row below."""

import keras
from keras import layers, ops


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

        def dense(name, fan_in, units, activation=None):
            layer = layers.Dense(units, activation=activation, name=name)
            layer.build((None, None, None, fan_in))
            return layer

        # The convolutions are products of weights with the codes under the kernel, put side by
        # side: XLA makes more of products than of convolutions of so few pixels.
        self.blocks = [
            [
                dense(f"block_{i}_in", dim, self.filters, "relu"),
                dense(f"block_{i}_row", 3 * self.filters, self.filters),
                dense(f"block_{i}_above", 2 * self.filters, self.filters, "relu"),
                dense(f"block_{i}_out", self.filters, dim),
            ]
            for i in range(self.num_blocks)
        ]
        self.built = True

    def call(self, inputs):
        """Compute the contexts."""
        total = inputs
        for project_in, convolve_row, convolve_above, project_out in self.blocks:
            x = project_in(total)
            x = convolve_row(self._left_here_right(x))
            x = convolve_above(self._above_here(x))
            total = total + project_out(x)
        return ops.relu(total)

    def _left_here_right(self, x):
        padded = ops.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        return ops.concatenate([padded[:, :, :-2], x, padded[:, :, 2:]], axis=-1)

    def _above_here(self, x):
        # A row of zeros on top: even a single row passes.
        return ops.concatenate([ops.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1], x], axis=-1)

    def compute_output_shape(self, input_shape):
        """Return the shape of the codes."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "num_blocks": self.num_blocks, "filters": self.filters}
