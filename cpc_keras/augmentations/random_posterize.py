"""Random loss of bits."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomPosterize(RandomImageLayer):
    """Keeps a random number of the highest bits of every value of an image.

    With b bits, values fall to the next multiple of `2 ** (8 - b)`. AutoAugment draws from 4 to 8
    (Cubuk et al. 2018, arXiv:1805.09501, table 6); `keras.layers.RandomPosterization` never draws
    its upper bound. Off at evaluation.

    Args:
        bits: smallest and largest number of bits, in 1..8; both are drawn.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` posterizes.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: numbers of bits out of range or not in order.

    Example:
        >>> tuple(RandomPosterize((4, 8), seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, bits: tuple[int, int] = (4, 8), *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if not 1 <= bits[0] <= bits[1] <= 8:
            raise ValueError(f"bits must be (smallest, largest), in 1..8. Received: {bits!r}.")
        self.bits = tuple(bits)

    def augment(self, images):
        """Drop the lowest bits."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        smallest, largest = self.bits
        bits = keras.random.randint(shape, smallest, largest + 1, seed=self.seed_generator)
        step = ops.power(2.0, ops.cast(8 - bits, "float32"))
        return ops.floor(images / step) * step

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "bits": self.bits}
