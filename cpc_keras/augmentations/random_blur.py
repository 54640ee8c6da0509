"""Random Gaussian blur."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomBlur(RandomImageLayer):
    """Blurs each image with a Gaussian of random width.

    As SimCLR blurs half of its views (Chen et al. 2020, arXiv:2002.05709, appendix A): the standard
    deviation is drawn evenly for each image, the kernel covers a tenth of the height. Beyond the
    border the nearest pixel counts. (`keras.layers.RandomGaussianBlur` ends at a standard deviation
    of 1 pixel.) Off at evaluation.

    Args:
        sigma: smallest and largest standard deviation, in pixels.
        kernel_size: pixels that are averaged along each axis, odd; default: a tenth of the height,
            and at least 3.
        seed: integer or `keras.random.SeedGenerator`.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` blurs.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: an empty range, or an even kernel.

    Example:
        >>> tuple(RandomBlur(seed=0)(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        sigma: tuple[float, float] = (0.1, 2.0),
        *,
        kernel_size: int | None = None,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        self.sigma, self.kernel_size = tuple(sigma), kernel_size
        if len(self.sigma) != 2 or not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                "sigma must be the smallest and the largest standard deviation, greater than 0. "
                f"Received: {sigma!r}."
            )
        if kernel_size is not None and (kernel_size < 1 or kernel_size % 2 == 0):
            raise ValueError(f"kernel_size must be odd. Received: {kernel_size!r}.")

    def augment(self, images):
        """Average along one axis, then along the other."""
        reach = max(1, images.shape[1] // 20)
        if self.kernel_size is not None:
            reach = self.kernel_size // 2
        places = ops.arange(-reach, reach + 1, dtype="float32")
        sigma = self.uniform(images, *self.sigma)[:, :, 0, 0]
        weights = ops.exp(-0.5 * ops.square(places / sigma))
        weights = weights / ops.sum(weights, axis=1, keepdims=True)
        for axis in (1, 2):
            side = images.shape[axis]
            index = ops.arange(side)
            images = sum(
                weights[:, n, None, None, None]
                * ops.take(images, ops.clip(index + (n - reach), 0, side - 1), axis=axis)
                for n in range(2 * reach + 1)
            )
        return images

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "sigma": self.sigma, "kernel_size": self.kernel_size}
