"""Pretext tasks: to tell what was done to an image, as one Keras model."""

from collections.abc import Sequence

import keras
from keras import layers, ops

from cpc_keras.encoders import reapply_layers
from cpc_keras.models.check_arguments import checked_image_augmentation, checked_image_shape
from cpc_keras.models.check_images import check_images
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.ops import info_nce


@keras.saving.register_keras_serializable("cpc_keras")
class PretextModel(PretrainingModel):
    """Learns image features by telling what was done to an image.

    `views` does something to every image and tells what: `views.Rotations` turns it,
    `views.NeighborPair` cuts two tiles out of it, `views.JigsawTiles` puts nine in disorder. One
    encoder sees every tile alone; the codes of a copy's tiles, side by side, are classified by a
    dense network, in training alone; the loss is the cross-entropy of the softmax.

    `fit` and `evaluate` take images `[batch, height, width, channels]` in [0, 255], as an array or
    a batched `tf.data.Dataset`, bare, as `(image, label)` pairs or as dicts with the key "image".
    Labels are ignored. They log `loss` (nats; ln of the number of classes where nothing is known)
    and `accuracy` (share of copies whose class is ranked first, ties count as wrong).

    The encoder's layers are those of an encoder for whole images and run over tiles of another size
    with the same weights: convolutions and global pooling do, "mlp" does not. What statistics it
    takes must be those of one tile: trainable batch normalisation would tell it which tiles came
    together.

    Attributes:
        encoder: functional `keras.Model`, whole images to features, of stock layers alone.
        views: the layer that makes the task.
        tower: `keras.Model`, one tile to its code: the encoder's layers.
        head: `keras.Model`, the codes of a copy's tiles to the logits of the classes.
        image_shape: `(height, width, channels)`.

    Args:
        image_shape: `(height, width, channels)`.
        views: layer from images to `(tiles, labels)`: tiles
            `[batch, copies, tiles, height, width, channels]`, integer labels `[batch, copies]` from
            0 to `views.num_classes - 1`.
        encoder: a name (`encoders.PATCH_ENCODERS`: "small", "resnet18", ...) or any `keras.Model`
            from images `[batch, height, width, channels]`, pixels in [0, 255], to codes.
        normalization: of the named encoders: "group", "layer" or "none"; by default the encoder's
            own, see `encoders.patch_encoder`.
        hidden_dims: lengths of the hidden layers (ReLU) between codes and classes.
        image_augmentation: layer, or name of `augmentations.image_augmentation`, applied to whole
            images in training, before `views`; `None`: nothing.
        seed: integer, for what a named augmentation draws; `views` has its own.

    Raises:
        ValueError: views that make no task, unknown names, an encoder that does not fit.

    Example:
        >>> model = PretextModel((32, 32, 3), views=Rotations(), encoder="tiny")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        >>> _ = model.fit(np.random.randint(0, 256, (64, 32, 32, 3), "uint8"), verbose=0)
        >>> model.encoder.predict(np.zeros((2, 32, 32, 3)), verbose=0).shape
        (2, 64)
    """

    layer_arguments = ("views", "encoder", "image_augmentation")

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        views: keras.layers.Layer,
        encoder: str | keras.Model = "small",
        normalization: str | None = None,
        hidden_dims: Sequence[int] = (),
        image_augmentation: str | keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = checked_image_shape(image_shape)
        if not isinstance(views, keras.layers.Layer) or not hasattr(views, "num_classes"):
            raise ValueError(
                "views must be a layer that makes a task and knows its num_classes, such as "
                f"views.Rotations(). Received: {views!r}."
            )
        self._config = {
            "image_shape": self.image_shape,
            "views": views,
            "encoder": encoder,
            "normalization": normalization,
            "hidden_dims": tuple(hidden_dims),
            "image_augmentation": image_augmentation,
            "seed": seed,
        }
        image_augmentation = checked_image_augmentation(
            image_augmentation, self.image_shape, seed=seed
        )
        self.views, self.image_augmentation = views, image_augmentation
        self.encoder = self._build_encoder(encoder, normalization)
        self.network = self._build_network(hidden_dims)
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.built = True

    def _build_network(self, hidden_dims):
        images = keras.Input(self.image_shape, dtype="float32", name="images")
        changed = images if self.image_augmentation is None else self.image_augmentation(images)
        tiles, labels = self.views(changed)
        if len(tiles.shape) != 6 or len(labels.shape) != 2:
            raise ValueError(
                "views must return tiles [batch, copies, tiles, height, width, channels] and "
                f"labels [batch, copies]. Received shapes {tuple(tiles.shape)} and "
                f"{tuple(labels.shape)}."
            )
        copies, num_tiles, *tile_shape = tiles.shape[1:]
        self.tower = self._build_tower(tuple(tile_shape))
        dim = self.encoder.output_shape[-1]
        codes = self.tower(ops.reshape(tiles, (-1, *tile_shape)))
        self.head = _build_head(num_tiles * dim, hidden_dims, self.views.num_classes)
        logits = self.head(ops.reshape(codes, (-1, num_tiles * dim)))
        logits = ops.reshape(logits, (-1, copies, self.views.num_classes))
        return keras.Model(images, {"logits": logits, "labels": labels}, name="network")

    def _build_tower(self, tile_shape):
        if tile_shape == self.image_shape:
            return self.encoder
        tile = keras.Input(tile_shape, dtype="float32", name="tile")
        try:
            code = reapply_layers(self.encoder, tile)
        except Exception as error:
            raise ValueError(
                f"The encoder runs over images of shape {self.image_shape}, but not over tiles of "
                f"shape {tile_shape}. Expected an encoder for any size, of convolutions and global "
                f'pooling, such as "small". The cause: {error}'
            ) from error
        return keras.Model(tile, code, name="tower")

    def call(self, inputs, training=False):
        """Return what the head says of every copy, and the truth.

        Args:
            inputs: images, or a dict that holds them under "image".
            training: whether to augment; the task is drawn in any case.

        Returns:
            Dict of "logits", float32 `[batch, copies, classes]`, and "labels", `[batch, copies]`.
        """
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        return self.network(images, training=training)

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """The mean cross-entropy; the data's own labels are ignored."""
        # Telling the true class from the others is what InfoNCE does with candidates.
        told = info_nce(y_pred["logits"], y_pred["labels"])
        self.accuracy.update_state(told.correct)
        return self._share_of_replica(ops.mean(told.loss))

    def _check_data(self, x, y, batch_size):
        return check_images(x, self.image_shape, batch_size=batch_size or 32), y


def _build_head(dim, hidden_dims, num_classes):
    hidden = [
        layers.Dense(width, activation="relu", name=f"hidden{index}")
        for index, width in enumerate(hidden_dims)
    ]
    # Logits are computed in float32 under mixed precision too: in bfloat16 they would often tie.
    logits = layers.Dense(num_classes, dtype="float32", name="logits")
    return keras.Sequential([keras.Input((dim,)), *hidden, logits], name="head")
