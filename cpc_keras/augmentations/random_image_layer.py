"""What all random image layers share."""

import keras
from keras import ops


class RandomImageLayer(keras.layers.Layer):
    """Base of layers that change every image of a batch by its own random draw, in training.

    A subclass writes `augment`, which gets float32 pixels in [0, 255] and need neither clip nor
    cast: `call` does that, and passes images through untouched outside training. Draw from
    `self.seed_generator`, with the batch as the first axis of the draw, so that no two images share
    one. Patches are images here: fold them into the batch axis, and each gets its own.

    Keras's own preprocessing layers are used where they keep this contract. Of Keras 3.15 these do
    not: `RandomRotation`, `RandomShear`, `RandomTranslation`, `RandomZoom` (`supports_jit` is
    off, which turns compilation off for the whole model; the config of `RandomShear` does not load
    again),
    `RandomElasticTransform` (one deformation for all images in a graph), `Equalization` (one
    histogram for all images), `RandAugment` and `AugMix` (one choice for all images),
    `RandomSaturation` and thus `RandomColorJitter` (values down to -117, three channels only),
    `RandomGrayscale` (loses its seed), `RandomPosterization` (never draws its upper bound),
    `RandomSharpness` (darkens the border: 28 of the 64 pixels of an 8x8 patch), `AutoContrast` (not
    off at evaluation; `RandomApply` and `RandomChoice` turn it off).

    Args:
        seed: integer or `keras.random.SeedGenerator`.
        **kwargs: name and dtype of the layer.

    Call arguments:
        inputs: `[batch, height, width, channels]`, uint8 or float, in [0, 255].
        training: only `True` augments.

    Returns:
        Tensor of the shape and dtype of `inputs`, in [0, 255].

    Example:
        >>> class RandomFlash(RandomImageLayer):
        ...     def augment(self, images):
        ...         shape = (keras.ops.shape(images)[0], 1, 1, 1)
        ...         return images + keras.random.uniform(shape, 0, 50, seed=self.seed_generator)
        >>> flash = RandomFlash(seed=0)
        >>> tuple(flash(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, *, seed=None, **kwargs):
        super().__init__(**kwargs)
        is_generator = isinstance(seed, keras.random.SeedGenerator)
        self.seed_generator = seed if is_generator else keras.random.SeedGenerator(seed)
        self.seed = self.seed_generator.get_config()["seed"]

    def augment(self, images):
        """Return the changed images; `images` are float32, `[batch, height, width, channels]`."""
        raise NotImplementedError(f"{type(self).__name__} must define augment(images).")

    def uniform(self, images, low: float, high: float, *, size: int | None = None):
        """Draw one number an image, `[batch, 1, 1, 1]`, or `size` numbers, `[batch, size]`."""
        batch = ops.shape(images)[0]
        shape = (batch, 1, 1, 1) if size is None else (batch, size)
        # Explicitly float32: positions and thresholds do not fit into the 8 bits of bfloat16.
        return keras.random.uniform(shape, low, high, dtype="float32", seed=self.seed_generator)

    def call(self, inputs, training=False):
        """Augment the images in training."""
        if not training:
            return inputs
        images = ops.clip(self.augment(ops.cast(inputs, "float32")), 0.0, 255.0)
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(inputs.dtype)):
            images = ops.round(images)
        return ops.cast(images, inputs.dtype)

    def compute_output_spec(self, inputs, training=False):
        """Return shape and dtype of the input."""
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}
