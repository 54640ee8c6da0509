"""Contexts to predictions of the codes some rows further on."""

from collections.abc import Sequence

import keras
from keras import layers

from cpc_keras.ops.take_rows import take_rows


@keras.saving.register_keras_serializable("cpc_keras")
class OffsetPrediction(layers.Layer):
    """Predicts, from the context of row r, the target in row r + offset.

    One linear map `W_k` an offset (van den Oord et al. 2018, arXiv:1807.03748, equation 3), as 1x1
    convolutions; the last k rows, whose targets lie outside the grid, are dropped. The inner
    product of a prediction and a code of length `target_dim` is the bilinear score `z^T W_k c` of
    that equation; CPC v2 (Henaff et al. 2019, arXiv:1905.09272) takes a projected code instead.

    Args:
        offsets: how many rows ahead, each at least 1, without repetition.
        target_dim: length of a prediction: of the projected codes it is compared with (CPC v2:
            64), or of the codes themselves (CPC v1: 1024).
        skipped_rows: how many of the grid's last rows the contexts come without, at most the
            smallest offset: they have nothing to predict and need not be computed.

    Call arguments:
        inputs: contexts, `[batch, rows - skipped_rows, columns, dim]`.

    Returns:
        List with, for each offset k, predictions `[batch, rows - k, columns, target_dim]`.

    Raises:
        ValueError: no offset, one below 1, a repeated one, or one that leaves no row; more
            `skipped_rows` than the smallest offset.

    Example:
        >>> predict = OffsetPrediction((2, 3), target_dim=64)
        >>> [tuple(p.shape) for p in predict(np.zeros((1, 7, 5, 32)))]
        [(1, 5, 5, 64), (1, 4, 5, 64)]
    """

    def __init__(
        self, offsets: Sequence[int], *, target_dim: int = 64, skipped_rows: int = 0, **kwargs
    ):
        super().__init__(**kwargs)
        self.offsets = tuple(int(k) for k in offsets)
        self.target_dim = target_dim
        self.skipped_rows = skipped_rows
        if not self.offsets or min(self.offsets) < 1 or len(set(self.offsets)) < len(self.offsets):
            raise ValueError(
                "offsets must be one or more different whole numbers >= 1. "
                f"Received: {tuple(offsets)}."
            )
        if not 0 <= skipped_rows <= min(self.offsets):
            raise ValueError(
                f"skipped_rows must be 0 to {min(self.offsets)}, the smallest offset: the "
                f"rows further up are needed. Received: {skipped_rows!r}."
            )

    def build(self, input_shape):
        """Create one linear map an offset."""
        rows = input_shape[1] + self.skipped_rows
        if rows <= max(self.offsets):
            raise ValueError(
                f"OffsetPrediction: a grid of {rows} rows leaves no row to predict at offset "
                f"{max(self.offsets)}. Use offsets below {rows} or a grid with more rows."
            )
        self.projections = []
        for offset in self.offsets:
            projection = layers.Dense(
                self.target_dim, use_bias=False, name=f"offset_{offset}", dtype=self.dtype_policy
            )
            projection.build(input_shape)
            self.projections.append(projection)
        self.built = True

    def call(self, inputs):
        """Predict the targets of every offset."""
        rows = inputs.shape[1] + self.skipped_rows
        pairs = zip(self.offsets, self.projections, strict=True)
        return [projection(take_rows(inputs, 0, rows - offset)) for offset, projection in pairs]

    def compute_output_shape(self, input_shape):
        """Return one shape an offset."""
        batch, rows, columns, _ = input_shape
        rows += self.skipped_rows
        return [(batch, rows - k, columns, self.target_dim) for k in self.offsets]

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "offsets": self.offsets,
            "target_dim": self.target_dim,
            "skipped_rows": self.skipped_rows,
        }
