"""Codes to contexts by the gated PixelCNN."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("cpc_keras")
class GatedPixelCNN(layers.Layer):
    """Summarises, for each grid position, what a raster scan has passed by then.

    The "PixelCNN-style autoregressive model" over codes of CPC v1 (van den Oord et al. 2018,
    arXiv:1807.03748, section 3.2), in the form without blind spot (van den Oord et al. 2016,
    arXiv:1606.05328, figure 2): a vertical stack of convolutions sees the rows above, a horizontal
    stack the row itself up to the position, and every layer is gated, `tanh(a) * sigmoid(b)`
    (equation 2). The horizontal stack is residual and is fed from the vertical one before its
    gates; the vertical stack is neither. Kernels are not masked: rows and columns of zeros on one
    side shift them.

    What the context in row r and column c sees, with `h = kernel_size // 2` and L blocks:

    - of row r: the columns `c - L * h .. c`, its own code among them (CPC predicts rows further
      down, so that nothing is given away; the paper's first layer leaves out the position, which
      it generates), none to the right;
    - of the rows `r - 1 - L * h .. r - 1`: all columns `c - L * h .. c + L * h`;
    - of a row below: nothing.

    Unlike in the paper the residual stream has the width of the codes, and `filters` is the width
    inside a block, as in `MaskedContext`. One ReLU ends the stack, which PixelCNN has before its
    output convolutions (arXiv:1601.06759, table 1); here those are the maps of `OffsetPrediction`.

    Args:
        num_blocks: gated blocks, at least 1.
        filters: channels of the gates, at least 1.
        kernel_size: width of the vertical stack's window, odd, at least 3; the n of the paper.

    Call arguments:
        inputs: codes, `[batch, rows, columns, dim]`.

    Returns:
        Contexts, `[batch, rows, columns, dim]`, not negative.

    Raises:
        ValueError: no block, no filter, or a kernel that is even or below 3.

    Example:
        >>> tuple(GatedPixelCNN(2, filters=16)(np.zeros((1, 7, 5, 32))).shape)
        (1, 7, 5, 32)
    """

    def __init__(self, num_blocks: int = 5, *, filters: int = 128, kernel_size: int = 3, **kwargs):
        super().__init__(**kwargs)
        if num_blocks < 1 or filters < 1:
            raise ValueError(
                "GatedPixelCNN needs num_blocks >= 1 and filters >= 1. "
                f"Received: num_blocks={num_blocks}, filters={filters}."
            )
        if kernel_size < 3 or kernel_size % 2 == 0:
            raise ValueError(
                "GatedPixelCNN needs an odd kernel_size >= 3: a window of an even size has no "
                f"middle, and one of 1 sees no neighbour. Received: kernel_size={kernel_size}."
            )
        self.num_blocks = num_blocks
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape):
        """Create the blocks for the codes' width."""
        dim, filters, reach = input_shape[-1], self.filters, self.kernel_size // 2
        common = {"dtype": self.dtype_policy}

        def convolution(name, width, channels, size):
            layer = layers.Conv2D(width, size, name=name, **common)
            # Rows and columns stay open: the zeros let even a single row pass.
            layer.build((None, None, None, channels))
            return layer

        def block(index):
            name = f"{self.name}_block_{index}"
            above, left = (reach + 1, self.kernel_size), (1, reach + 1)
            return {
                "vertical": convolution(
                    f"{name}_vertical", 2 * filters, filters if index else dim, above
                ),
                "horizontal": convolution(f"{name}_horizontal", 2 * filters, dim, left),
                "link": convolution(f"{name}_link", 2 * filters, 2 * filters, 1),
                "out": convolution(f"{name}_out", dim, filters, 1),
            }

        self.blocks = [block(i) for i in range(self.num_blocks)]
        # One row of zeros more than the window has above its middle: the result has a row more than
        # the grid. Without its last row it is the window that ends in the row above (what the
        # horizontal stack may see), without its first the one that ends in the row itself.
        self.pad_above = layers.ZeroPadding2D(((reach + 1, 0), (reach, reach)), **common)
        self.pad_left = layers.ZeroPadding2D(((0, 0), (reach, 0)), **common)
        self.row_above = layers.Cropping2D(((0, 1), (0, 0)), **common)
        self.row_itself = layers.Cropping2D(((1, 0), (0, 0)), **common)
        self.built = True

    def call(self, inputs):
        """Compute the contexts."""
        vertical = horizontal = inputs
        for block in self.blocks:
            windows = block["vertical"](self.pad_above(vertical))
            own_row = block["horizontal"](self.pad_left(horizontal))
            gated = _gate(own_row + block["link"](self.row_above(windows)))
            horizontal = horizontal + block["out"](gated)
            vertical = _gate(self.row_itself(windows))
        return ops.relu(horizontal)

    def compute_output_shape(self, input_shape):
        """Return the shape of the codes."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


def _gate(x):
    value, gate = ops.split(x, 2, axis=-1)
    return ops.tanh(value) * ops.sigmoid(gate)
