"""Random colour dropping."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cpc_keras")
class RandomChannelDrop(keras.layers.Layer):
    """Keeps one random channel of an image and copies it into the others.

    The colour dropping of CPC v2 (Henaff et al. 2019, arXiv:1905.09272), worth about three points
    there: without it, colour alone tells which patches belong together. Images of one channel pass
    unchanged. Off at evaluation.

    Args:
        rate: share of the images whose colour is dropped, in [0, 1].
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`.
        training: only `True` drops.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a `rate` outside [0, 1].

    Example:
        >>> tuple(RandomChannelDrop(1.0, seed=0)(np.ones((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, rate: float = 1.0, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be in [0, 1]. Received: {rate!r}.")
        self.rate = rate
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)
        self.seed = self.seed_generator.get_config()["seed"]

    def call(self, inputs, training=False):
        """Drop the colour of some images."""
        channels = inputs.shape[-1]
        if not training or channels == 1 or not self.rate:
            return inputs
        batch = ops.shape(inputs)[0]
        kept = keras.random.randint((batch,), 0, channels, seed=self.seed_generator)
        mask = ops.cast(ops.one_hot(kept, channels), inputs.dtype)[:, None, None, :]
        # Sums of small integers widen: back to the dtype of the pixels.
        single = ops.cast(ops.sum(inputs * mask, axis=-1, keepdims=True), inputs.dtype)
        drop = keras.random.uniform((batch, 1, 1, 1), seed=self.seed_generator) < self.rate
        return ops.where(drop, single, inputs)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
