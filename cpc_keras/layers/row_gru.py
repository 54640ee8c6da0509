"""Codes to contexts by a recurrent network that runs down the rows."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("cpc_keras")
class RowGRU(layers.Layer):
    """Summarises, for each grid position, its row and all rows above with a convolutional GRU.

    CPC v1 found "a row-GRU PixelRNN" to do as well as its masked convolutions (van den Oord et al.
    2018, arXiv:1807.03748, section 3.2). It is the Row LSTM of PixelRNN (van den Oord et al. 2016,
    arXiv:1601.06759, section 3.1) with a GRU (Cho et al. 2014, arXiv:1406.1078) in the place of the
    LSTM: a state of one row, carried down row by row, with convolutions along the row from input to
    state and from state to state. In row r, with x the codes, h the state and * a convolution of
    width `kernel_size`:

        u = sigmoid(W_u * x_r + U_u * h_(r-1))                how much of the state is kept
        s = sigmoid(W_s * x_r + U_s * h_(r-1))                how much of it the candidate sees
        h_r = u h_(r-1) + (1 - u) tanh(W * x_r + s (U * h_(r-1)))

    The reset s is applied after the product, as Keras's `GRU` does by default: one convolution a
    row instead of two. Each block adds a 1x1 convolution of its states to its input (figure 5 of
    arXiv:1601.06759), and one ReLU ends the stack (its table 1).

    What the context in row r and column c sees, with `h = kernel_size // 2` and L blocks: of row
    r - j, for every j >= 0, the columns `c - (j + L) * h .. c + (j + L) * h`. That is a triangle
    that opens upwards, however many rows there are; its own row on both sides (PixelRNN, which
    generates that row, masks its right half; CPC predicts rows further down); no row below.

    It is slower than convolutions, one step after another; the steps are unrolled, so that the
    number of rows must be known when a graph is made (it may differ from call to call).

    Args:
        num_blocks: recurrent layers on top of each other, at least 1.
        filters: channels of the state, at least 1.
        kernel_size: width of both convolutions, in columns, odd. The paper's is 3.

    Call arguments:
        inputs: codes, `[batch, rows, columns, dim]`.

    Returns:
        Contexts, `[batch, rows, columns, dim]`, not negative.

    Raises:
        ValueError: no block, no filter, an even kernel, or an unknown number of rows.

    Example:
        >>> tuple(RowGRU(filters=16)(np.zeros((1, 7, 5, 32))).shape)
        (1, 7, 5, 32)
    """

    def __init__(self, num_blocks: int = 1, *, filters: int = 128, kernel_size: int = 3, **kwargs):
        super().__init__(**kwargs)
        if num_blocks < 1 or filters < 1:
            raise ValueError(
                "RowGRU needs num_blocks >= 1 and filters >= 1. "
                f"Received: num_blocks={num_blocks}, filters={filters}."
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(
                "RowGRU needs an odd kernel_size >= 1, so that the window has a middle. "
                f"Received: kernel_size={kernel_size}."
            )
        self.num_blocks = num_blocks
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, input_shape):
        """Create the blocks for the codes' width."""
        dim, filters, size = input_shape[-1], self.filters, self.kernel_size
        common = {"padding": "same", "dtype": self.dtype_policy}

        def block(index):
            name = f"{self.name}_block_{index}"
            # In all three: first what becomes u, then s, then the candidate. No bias from the
            # state: the input's reaches all three sums.
            parts = {
                "in": layers.Conv2D(3 * filters, (1, size), name=f"{name}_in", **common),
                "state": layers.Conv1D(
                    3 * filters,
                    size,
                    use_bias=False,
                    # As in Keras's GRU: a state neither dies away nor blows up over the rows.
                    kernel_initializer="orthogonal",
                    name=f"{name}_state",
                    **common,
                ),
                "out": layers.Conv2D(dim, 1, name=f"{name}_out", **common),
            }
            parts["in"].build((None, None, None, dim))
            parts["state"].build((None, None, filters))
            parts["out"].build((None, None, None, filters))
            return parts

        self.blocks = [block(i) for i in range(self.num_blocks)]
        self.built = True

    def call(self, inputs):
        """Compute the contexts."""
        if inputs.shape[1] is None:
            raise ValueError(
                "RowGRU unrolls the rows, and their number must be known. Received codes of shape "
                f"{tuple(inputs.shape)}. Give the graph's input its number of rows."
            )
        total = inputs
        for block in self.blocks:
            rows, states = ops.unstack(block["in"](total), axis=1), []
            for row in rows:
                states.append(_step(row, states[-1] if states else None, block["state"]))
            total = total + block["out"](ops.stack(states, axis=1))
        return ops.relu(total)

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


def _step(row, state, convolve):
    """The state after one row; `state` is None, which stands for zeros, above the first."""
    update, reset, value = ops.split(row, 3, axis=-1)
    if state is None:
        return (1 - ops.sigmoid(update)) * ops.tanh(value)
    from_update, from_reset, from_state = ops.split(convolve(state), 3, axis=-1)
    update = ops.sigmoid(update + from_update)
    reset = ops.sigmoid(reset + from_reset)
    return update * state + (1 - update) * ops.tanh(value + reset * from_state)
