"""A layer for a random share of the images."""

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomApply(RandomImageLayer):
    """Applies a layer to each image of a batch with the same probability, independently.

    All images go through the layer, and those not drawn are put back, so that shapes stay static:
    the cost is that of the layer, whatever the rate. Off at evaluation, even where the inner layer
    would not be.

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
        changed = ops.cast(self.layer(images, training=True), "float32")
        return ops.where(self.uniform(images, 0, 1) < self.rate, changed, images)

    def get_config(self):
        """Return the constructor's arguments, the layer serialised."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "rate": self.rate}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild a layer from `get_config`."""
        layer = keras.saving.deserialize_keras_object(config["layer"], custom_objects)
        return cls(**{**config, "layer": layer})
