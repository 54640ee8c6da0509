"""Two augmentations of an image."""

import keras


@keras.saving.register_keras_serializable("cpc_keras")
class TwoViews(keras.layers.Layer):
    """Makes a pair of every image: two independent draws of an augmentation.

    They are drawn in evaluation as in training: an image beside itself would be no task. (As the
    pair of a contrastive bound: McAllester and Stratos 2018, arXiv:1811.04251, section 4; Chen et
    al. 2020, arXiv:2002.05709.)

    Args:
        augmentation: random layer on images that keeps their shape, for example one of
            `augmentations.image_augmentation`.
        name: name of the layer.

    Call arguments:
        images: `[batch, height, width, channels]`, pixels in [0, 255].

    Returns:
        Two tensors of the images' shape.

    Raises:
        ValueError: no layer.

    Example:
        >>> views = TwoViews(keras.layers.RandomTranslation(0.3, 0.3, seed=0))
        >>> first, second = views(np.random.uniform(0, 255, (2, 8, 8, 1)))
        >>> np.allclose(first, second)
        False
    """

    # What a model with these views takes: single images.
    takes_clips = False

    def __init__(self, augmentation: keras.layers.Layer, name: str = "two_views", **kwargs):
        super().__init__(name=name, **kwargs)
        if not isinstance(augmentation, keras.layers.Layer):
            raise ValueError(
                "TwoViews needs a random layer, or both views would be the image itself. Received: "
                f"{augmentation!r}. Pass for example augmentations.image_augmentation("
                '"photos", image_shape).'
            )
        self.augmentation = augmentation

    def call(self, images):
        """Draw both views."""
        images = keras.ops.convert_to_tensor(images)
        views = tuple(self.augmentation(images, training=True) for _ in range(2))
        for view in views:
            if tuple(view.shape[1:]) != tuple(images.shape[1:]):
                raise ValueError(
                    f"The augmentation of TwoViews must keep the shape of the images, "
                    f"{tuple(images.shape[1:])}. Received one that makes it "
                    f"{tuple(view.shape[1:])}: resize or crop the data instead."
                )
        return views

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "augmentation": keras.saving.serialize_keras_object(self.augmentation),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild the layer from `get_config`."""
        augmentation = keras.saving.deserialize_keras_object(
            config["augmentation"], custom_objects=custom_objects
        )
        return cls(**{**config, "augmentation": augmentation})
