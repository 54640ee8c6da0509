"""Random whole-pixel shifts."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cpc_keras")
class RandomShift(keras.layers.Layer):
    """Shifts each image of a batch by its own whole number of pixels.

    On patches it does what CPC v1's random sub-crop is for (van den Oord et al. 2018,
    arXiv:1807.03748): edges no longer tell which patches belong together. The sub-crop itself,
    60x60 of 64x64 padded back, is `RandomSubcrop`. Pixels are copied, not
    interpolated; the border that comes free is filled with the nearest pixel. Off at evaluation.

    Args:
        max_shift: largest shift, in pixels, to each side and along each axis; 0 or more.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`.
        training: only `True` shifts.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a `max_shift` that is no whole number, or below 0.

    Example:
        >>> tuple(RandomShift(1, seed=0)(np.zeros((2, 8, 8, 1)), training=True).shape)
        (2, 8, 8, 1)
    """

    def __init__(self, max_shift: int, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(max_shift, int) or max_shift < 0:
            raise ValueError(f"max_shift must be a whole number >= 0. Received: {max_shift!r}.")
        self.max_shift = max_shift
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)
        self.seed = self.seed_generator.get_config()["seed"]

    def call(self, inputs, training=False):
        """Shift the images."""
        if not training or not self.max_shift:
            return inputs
        batch = ops.shape(inputs)[0]
        shifts = keras.random.randint(
            (2, batch, 1), -self.max_shift, self.max_shift + 1, seed=self.seed_generator
        )
        _, height, width, _ = inputs.shape
        rows = ops.clip(ops.arange(height)[None] + shifts[0], 0, height - 1)
        columns = ops.clip(ops.arange(width)[None] + shifts[1], 0, width - 1)
        # One gather of all pixels: index of (image, row, column) in the flat batch.
        image = ops.arange(batch)[:, None, None] * (height * width)
        index = image + rows[:, :, None] * width + columns[:, None, :]
        flat = ops.reshape(inputs, (-1, inputs.shape[-1]))
        return ops.take(flat, index, axis=0)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "max_shift": self.max_shift, "seed": self.seed}
