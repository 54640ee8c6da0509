"""Random loss of colour."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer
from cpc_keras.ops import luminance


@keras.saving.register_keras_serializable("cpc_keras")
class RandomGrayscale(RandomImageLayer):
    """Replaces all channels of a random share of the images by their grey value.

    CPC v2 greys a quarter of the patches, CPC v1 all images (Henaff et al. 2019, arXiv:1905.09272;
    van den Oord et al. 2018, arXiv:1807.03748). Images of one channel pass unchanged, those of
    other than three get their mean. `keras.layers.RandomGrayscale` loses its seed when it is saved.
    Off at evaluation.

    Args:
        rate: share of the images that turn grey, in [0, 1].
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` greys.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: a rate out of range.

    Example:
        >>> tuple(RandomGrayscale(0.25, seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, rate: float = 0.25, *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be in [0, 1]. Received: {rate!r}.")
        self.rate = rate

    def augment(self, images):
        """Grey some images."""
        if images.shape[-1] == 1:
            return images
        return ops.where(self.uniform(images, 0, 1) < self.rate, luminance(images), images)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
