"""A layer for a random share of the images."""

import math

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomApply(RandomImageLayer):
    """Applies a layer to each image of a batch with the same probability, independently.

    With a rate up to a half only about that share of a large batch goes through the layer: places
    enough for the mean number drawn, six of its standard deviations and four, since shapes must not
    depend on the draw. Should more be drawn (less than one batch in a million), those beyond stay
    as they are. Otherwise all images go through it, and those not drawn are put back. Off at
    evaluation, even where the inner layer would not be.

    Args:
        layer: any layer that keeps the shape of images; a `keras.Sequential` for several.
        rate: probability, in [0, 1].
        seed: integer or `keras.random.SeedGenerator`, for who is drawn; the layer has its own.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` applies.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: not a layer, or a rate out of range.

    Example:
        >>> layer = RandomApply(RandomColorJitter(seed=1), 0.8, seed=0)
        >>> tuple(layer(np.zeros((2, 8, 8, 3)), training=True).shape)
        (2, 8, 8, 3)
    """

    def __init__(self, layer: keras.layers.Layer, rate: float = 0.5, *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(f"layer must be a keras.layers.Layer. Received: {layer!r}.")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must be in [0, 1]. Received: {rate!r}.")
        self.layer = layer
        self.rate = rate

    def build(self, input_shape):
        """Build the layer."""
        if not self.layer.built:
            self.layer.build(input_shape)

    def augment(self, images):
        """Apply the layer to some images."""
        drawn = self.uniform(images, 0, 1)
        if not 0 < self.rate <= 0.5:
            return ops.where(drawn < self.rate, self._change(images), images)
        # Those drawn come first; images that fill the other places are put back.
        order = ops.argsort(ops.reshape(drawn, (-1,)))[: self._num_places(ops.shape(images)[0])]
        chosen, drawn = (ops.take(x, order, axis=0) for x in (images, drawn))
        changed = ops.where(drawn < self.rate, self._change(chosen), chosen)
        return ops.scatter_update(images, order[:, None], changed)

    def _change(self, images):
        return ops.cast(self.layer(images, training=True), "float32")

    def _num_places(self, batch):
        # A number where the size of the batch is one (XLA wants it so), else a tensor.
        if isinstance(batch, int):
            spread = math.sqrt(batch * self.rate * (1 - self.rate))
            return min(batch, math.ceil(batch * self.rate + 6 * spread) + 4)
        size = ops.cast(batch, "float32")
        spread = ops.sqrt(size * self.rate * (1 - self.rate))
        return ops.minimum(batch, ops.cast(ops.ceil(size * self.rate + 6 * spread), "int32") + 4)

    def get_config(self):
        """Return the constructor's arguments, the layer serialised."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "rate": self.rate}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild a layer from `get_config`."""
        layer = keras.saving.deserialize_keras_object(config["layer"], custom_objects)
        return cls(**{**config, "layer": layer})
