"""Contexts to predictions of the codes some rows further on."""

from collections.abc import Sequence

import keras
from keras import layers


@keras.saving.register_keras_serializable("cpc_keras")
class OffsetPrediction(layers.Layer):
    """Predicts, from the context of row r, the target in row r + offset.

    One linear map `W_k` an offset (van den Oord et al. 2018, arXiv:1807.03748, equation 3), as 1x1
    convolutions; the last k rows, whose targets lie outside the grid, are dropped.

    Args:
        offsets: how many rows ahead, each at least 1, without repetition.
        target_dim: length of a prediction. CPC v2 uses 64.

    Call arguments:
        inputs: contexts, `[batch, rows, columns, dim]`.

    Returns:
        List with, for each offset k, predictions `[batch, rows - k, columns, target_dim]`.

    Raises:
        ValueError: no offset, one below 1, a repeated one, or one that leaves no row.

    Example:
        >>> predict = OffsetPrediction((2, 3), target_dim=64)
        >>> [tuple(p.shape) for p in predict(np.zeros((1, 7, 5, 32)))]
        [(1, 5, 5, 64), (1, 4, 5, 64)]
    """

    def __init__(self, offsets: Sequence[int], *, target_dim: int = 64, **kwargs):
        super().__init__(**kwargs)
        self.offsets = tuple(int(k) for k in offsets)
        self.target_dim = target_dim
        if not self.offsets or min(self.offsets) < 1 or len(set(self.offsets)) < len(self.offsets):
            raise ValueError(
                "offsets must be one or more different whole numbers >= 1. "
                f"Received: {tuple(offsets)}."
            )

    def build(self, input_shape):
        """Create one linear map an offset."""
        rows = input_shape[1]
        if rows <= max(self.offsets):
            raise ValueError(
                f"OffsetPrediction: a grid of {rows} rows leaves no row to predict at offset "
                f"{max(self.offsets)}. Use offsets below {rows} or a grid with more rows."
            )
        self.projections = []
        for offset in self.offsets:
            projection = layers.Dense(self.target_dim, use_bias=False, name=f"offset_{offset}")
            projection.build(input_shape)
            self.projections.append(projection)
        self.built = True

    def call(self, inputs):
        """Predict the targets of every offset."""
        pairs = zip(self.offsets, self.projections, strict=True)
        return [projection(inputs[:, :-offset]) for offset, projection in pairs]

    def compute_output_shape(self, input_shape):
        """Return one shape an offset."""
        batch, rows, columns, _ = input_shape
        return [(batch, rows - k, columns, self.target_dim) for k in self.offsets]

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "offsets": self.offsets, "target_dim": self.target_dim}
