"""Histogram equalisation of each image."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class HistogramEqualization(RandomImageLayer):
    """Spreads the values of each channel of each image evenly over [0, 255].

    A value v becomes `255 (n(v) - n_0) / (n - n_0)`, where n(v) pixels of the channel are not
    brighter, n_0 is that count of the darkest value and n the number of pixels; fractions count
    with the whole number below. A channel of one value stays. Nothing is random: put it into a
    `RandomChoice` or `RandomApply`. AutoAugment's "Equalize" (Cubuk et al. 2018, arXiv:1805.09501,
    table 6); Pillow's form of it does nothing to images of less than 256 pixels, and
    `keras.layers.Equalization` shares one histogram among the batch. Off at evaluation.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` equalises.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Example:
        >>> image = np.array([10.0, 10.0, 20.0, 30.0]).reshape(1, 2, 2, 1)
        >>> np.ravel(HistogramEqualization()(image, training=True)).tolist()
        [0.0, 0.0, 127.5, 255.0]
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def augment(self, images):
        """Equalise the histograms."""
        _, height, width, channels = images.shape
        batch = ops.shape(images)[0]
        values = ops.cast(images, "int32")
        # Index of (image, channel, value) in one flat table of counts.
        image = ops.arange(batch, dtype="int32")[:, None, None, None] * channels
        index = (image + ops.arange(channels, dtype="int32")) * 256 + values
        ones = ops.ones_like(ops.reshape(images, (-1,)))
        counts = ops.segment_sum(ones, ops.reshape(index, (-1,)), batch * channels * 256)
        ranks = ops.take(
            ops.reshape(ops.cumsum(ops.reshape(counts, (-1, 256)), axis=1), (-1,)), index
        )
        darkest = ops.min(ranks, axis=(1, 2), keepdims=True)
        others = height * width - darkest
        equalized = 255.0 * (ranks - darkest) / ops.maximum(others, 1.0)
        return ops.where(others > 0, equalized, images)

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["seed"]  # nothing is drawn
        return config
