"""One of several layers for each image."""

from collections.abc import Sequence

import keras
from keras import ops

from cpc_keras.augmentations.random_image_layer import RandomImageLayer


@keras.saving.register_keras_serializable("cpc_keras")
class RandomChoice(RandomImageLayer):
    """Applies one of several layers to each image of a batch, every one with the same probability.

    Images are dealt to the layers as cards are to players: shuffled, then cut into piles of equal
    size. Every image has the same chance of every layer, but the draws of a batch know of each
    other: in a large one all layers get nearly the same share. In return each layer sees its share
    alone, and K layers cost the mean of them; with independent draws and static shapes all would
    have to see all images and cost the sum. Off at evaluation, even where an inner layer would not
    be.

    Args:
        layers: one or more layers that keep the shape of images.
        seed: integer or `keras.random.SeedGenerator`, for who gets which; layers have their own.

    Call arguments:
        inputs: `[batch, height, width, channels]`, in [0, 255].
        training: only `True` applies.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: no layers, or something that is none.

    Example:
        >>> layer = RandomChoice([RandomPosterize(seed=1), RandomAffine(30, seed=2)], seed=0)
        >>> tuple(layer(np.zeros((5, 8, 8, 3)), training=True).shape)
        (5, 8, 8, 3)
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], *, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        if not layers or not all(isinstance(layer, keras.layers.Layer) for layer in layers):
            raise ValueError(
                f"layers must be one or more keras.layers.Layer. Received: {layers!r}."
            )
        self.layers = list(layers)

    def build(self, input_shape):
        """Build the layers."""
        for layer in self.layers:
            if not layer.built:
                layer.build(input_shape)

    def augment(self, images):
        """Deal the images to the layers."""
        batch, count = ops.shape(images)[0], len(self.layers)
        pile = (batch + count - 1) // count
        # As many places as make equal piles; those beyond the batch hold copies that are dropped.
        # Shuffled with the others, they cost every layer the same chance.
        places = (pile * count,)
        draws = keras.random.uniform(places, dtype="float32", seed=self.seed_generator)
        order = ops.argsort(draws)
        dealt = ops.take(images, ops.minimum(order, batch - 1), axis=0)
        changed = ops.concatenate(
            [
                ops.cast(layer(dealt[k * pile : (k + 1) * pile], training=True), "float32")
                for k, layer in enumerate(self.layers)
            ],
            axis=0,
        )
        return ops.take(changed, ops.argsort(order)[:batch], axis=0)

    def get_config(self):
        """Return the constructor's arguments, the layers serialised."""
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.layers]
        return {**super().get_config(), "layers": layers}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild a layer from `get_config`."""
        layers = [
            keras.saving.deserialize_keras_object(layer, custom_objects)
            for layer in config["layers"]
        ]
        return cls(**{**config, "layers": layers})
