"""Instance discrimination, as one Keras model."""

import keras
from keras import layers, ops

from cpc_keras.layers import MemoryBank
from cpc_keras.losses import noise_contrastive
from cpc_keras.models.check_arguments import checked_image_augmentation, checked_image_shape
from cpc_keras.models.check_images import check_images
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.ops import gather_replicas, info_nce, l2_normalize


@keras.saving.register_keras_serializable("cpc_keras")
class InstanceModel(PretrainingModel):
    """Learns image features by telling every image of a data set from all others.

    Each image is a class of its own: `P(i|v) = exp(v . v_i / t) / sum_j exp(v . v_j / t)` for its
    code v, of length 1, and the directions v_j of all images in a `layers.MemoryBank`, which
    follow the codes (Wu et al. 2018, arXiv:1805.01978, equation 2). With `num_negatives` it is told
    from so many that are drawn, by noise-contrastive estimation, whose constant Z is that of the
    first batch (equations 3 to 7). Of `proximal_weight`, which keeps codes from leaping: equation
    9. The negatives of a step are drawn once for all its images, where the paper's code draws for
    each: the same expectation for a fraction of the memory.

    Batches must tell which image is which: `{"image": ..., "index": ...}`, as `data.image_batches`
    gives them; labels are ignored. `fit` and `evaluate` log `loss` (nats) and `accuracy` (share of
    images whose own direction is the nearest; with `num_negatives`, nearer than those drawn). Both
    are of images that are in the bank: of others, `evaluate` means nothing, and `training.pretrain`
    measures no held-out images.

    Under a `tf.distribute` strategy, codes and indices of all replicas are gathered for the bank,
    of which each replica holds a copy, and for the statistics of a batch, whose loss is that of one
    device; what is drawn (augmentation, negatives) is drawn by each replica.

    Attributes:
        encoder: functional `keras.Model`, images to features, of stock layers alone.
        head: the layer from features to codes, in training alone.
        code_normalization: the layer that normalises codes over the batch, or `None`.
        bank: `layers.MemoryBank`.
        image_shape: `(height, width, channels)`.

    Args:
        image_shape: `(height, width, channels)`.
        num_images: how many images will be trained on: 4 bytes for each number of `dim`.
        encoder: a name (`encoders.PATCH_ENCODERS`: "small", "resnet18", ...) or any `keras.Model`
            from images `[batch, height, width, channels]`, pixels in [0, 255], to codes. Trainable
            batch normalisation is refused.
        normalization: of the named encoders: "group", "layer" or "none"; by default the encoder's
            own, see `encoders.patch_encoder`.
        dim: length of the codes that are compared.
        normalize_codes: give each number of the codes the mean 0 and the variance 1 over the batch
            (batch normalisation without scale and shift), in training alone. The paper's encoder
            has batch normalisation throughout, and no encoder here has: without any, all codes of
            an untrained network point the same way, and small trainings end with one code for all
            images.
        temperature: t, greater than 0.
        bank_momentum: share of the old direction that an update of the bank keeps.
        num_negatives: m, drawn in each step; `None`: all images, the exact softmax.
        proximal_weight: lambda, factor of the squared distance between an image's code and its
            direction in the bank.
        image_augmentation: layer, or name of `augmentations.image_augmentation`, applied in
            training; `None`: nothing.
        seed: integer, for the bank and what is drawn.

    Raises:
        ValueError: numbers out of range, unknown names, an encoder that does not fit; in `fit`,
            batches without "index", or arrays with one that is not in the bank.

    Example:
        >>> images = np.random.randint(0, 256, (64, 32, 32, 3), "uint8")
        >>> model = InstanceModel((32, 32, 3), num_images=64, encoder="tiny")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        >>> _ = model.fit({"image": images, "index": np.arange(64)}, verbose=0)
        >>> model.encoder.predict(np.zeros((2, 32, 32, 3)), verbose=0).shape
        (2, 64)
    """

    layer_arguments = ("encoder", "image_augmentation")
    judges_held_out = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        num_images: int,
        encoder: str | keras.Model = "small",
        normalization: str | None = None,
        dim: int = 128,
        normalize_codes: bool = True,
        temperature: float = 0.07,
        bank_momentum: float = 0.5,
        num_negatives: int | None = None,
        proximal_weight: float = 0.0,
        image_augmentation: str | keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = checked_image_shape(image_shape)
        if not temperature > 0 or not proximal_weight >= 0:
            raise ValueError(
                "Expected temperature > 0 and proximal_weight >= 0. Received: temperature="
                f"{temperature!r}, proximal_weight={proximal_weight!r}."
            )
        if num_negatives is not None and num_negatives < 1:
            raise ValueError(
                f"num_negatives must be at least 1, or None for all. Received: {num_negatives!r}."
            )
        self._config = {
            "image_shape": self.image_shape,
            "num_images": num_images,
            "encoder": encoder,
            "normalization": normalization,
            "dim": dim,
            "normalize_codes": normalize_codes,
            "temperature": temperature,
            "bank_momentum": bank_momentum,
            "num_negatives": num_negatives,
            "proximal_weight": proximal_weight,
            "image_augmentation": image_augmentation,
            "seed": seed,
        }
        self.temperature, self.num_negatives = temperature, num_negatives
        self.proximal_weight = proximal_weight
        image_augmentation = checked_image_augmentation(
            image_augmentation, self.image_shape, seed=seed
        )
        self.image_augmentation = image_augmentation
        self.bank = MemoryBank(num_images, dim=dim, momentum=bank_momentum, seed=seed)
        if num_negatives is not None:
            self.seed_generator = keras.random.SeedGenerator(seed)
            # ln of the sum of exp(v . v_j / t) over all images, of the first batch; 0: not yet
            # known.
            self.log_z = self.add_weight(
                shape=(), initializer="zeros", trainable=False, dtype="float32", name="log_z"
            )
        self.encoder = self._build_encoder(encoder, normalization)
        self.head = layers.Dense(dim, dtype="float32", name="head")
        self.code_normalization = None
        if normalize_codes:
            self.code_normalization = layers.BatchNormalization(
                center=False,
                scale=False,
                momentum=0.9,  # of what `evaluate` normalises by: short trainings get there too
                # Keras has statistics of all replicas where it has replicas.
                synchronized=keras.backend.backend() == "tensorflow",
                dtype="float32",
                name="code_normalization",
            )
        images = keras.Input(self.image_shape, dtype="float32", name="images")
        seen = images if self.image_augmentation is None else self.image_augmentation(images)
        codes = self.head(self.encoder(seen))
        if self.code_normalization is not None:
            codes = self.code_normalization(codes)
        self.network = keras.Model(images, codes, name="network")
        self.accuracy = keras.metrics.Mean(name="accuracy")
        self.built = True

    def call(self, inputs, training=False):
        """Return the codes of images, before they are scaled to length 1.

        Args:
            inputs: images, or a dict that holds them under "image".
            training: whether to augment.

        Returns:
            float32 `[batch, dim]`.
        """
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        return self.network(images, training=training)

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """The mean loss of the batch; in training, the bank is updated."""
        index = ops.cast(x["index"], "int32")
        codes = l2_normalize(ops.cast(y_pred, "float32"))
        own = self.bank.rows(index)
        if self.num_negatives is None:
            told = info_nce(self.bank(codes) / self.temperature, index)
            loss, correct = told.loss, told.correct
        else:
            loss, correct = self._against_noise(codes, index, own, training)
        if self.proximal_weight:
            distance = ops.sum(ops.square(codes - own), axis=-1)
            loss = loss + self.proximal_weight * distance
        self.accuracy.update_state(correct)
        if training:
            self.bank.update(index, codes)
        return self._share_of_replica(ops.mean(loss))

    def _against_noise(self, codes, index, own, training):
        drawn = keras.random.randint(
            (self.num_negatives,), 0, self.bank.size, seed=self.seed_generator
        )
        positive = ops.sum(codes * own, axis=-1) / self.temperature
        negatives = ops.matmul(codes, ops.transpose(self.bank.rows(drawn))) / self.temperature
        # ln of n times the mean of exp(s): of each image, then of the batch (equation 8).
        estimate = ops.logsumexp(ops.stop_gradient(negatives), axis=-1, keepdims=True)
        everyone, _ = gather_replicas(estimate)
        estimate = ops.logsumexp(everyone) - ops.log(
            ops.cast(ops.shape(everyone)[0], "float32") * (self.num_negatives / self.bank.size)
        )
        log_z = ops.where(ops.equal(self.log_z, 0.0), estimate, self.log_z)
        if training:
            self.log_z.assign(log_z)
        loss = noise_contrastive(positive, negatives, log_z=log_z, num_classes=self.bank.size)
        # An image may be drawn as noise for itself: nothing can be nearer than itself.
        itself = ops.equal(index[:, None], drawn[None])
        correct = ops.all(ops.logical_or(negatives < positive[:, None], itself), axis=-1)
        return loss, ops.cast(correct, "float32")

    def _check_data(self, x, y, batch_size):
        if not _has_index(x):
            raise ValueError(
                "Instance discrimination must know which image is which. Expected batches "
                '{"image": images, "index": positions in the data set}, as data.image_batches '
                f"gives them. Received: {_told(x)}. Of an array: fit(image_batches(images, "
                'batch_size=64, epochs=1)), or {"image": images, "index": np.arange(len(images))}.'
            )
        index = x["index"] if isinstance(x, dict) else None
        if hasattr(index, "shape") and hasattr(index, "dtype"):
            self._check_index(keras.ops.convert_to_numpy(index))
        return check_images(x, self.image_shape, batch_size=batch_size or 32), y

    def _check_index(self, index):
        # Some devices take another image's direction for what is not there, without a word.
        if index.size and not 0 <= index.min() <= index.max() < self.bank.size:
            raise ValueError(
                f'Expected an "index" from 0 to {self.bank.size - 1}, the positions of the images '
                f"that are trained on. Received {index.min()} to {index.max()}. Count images from "
                "0, or build the model with num_images= of all of them."
            )


def _has_index(data):
    spec = getattr(data, "element_spec", data)
    # What cannot be looked at, such as a generator, is seen in the first step.
    known = isinstance(spec, dict | tuple | list) or hasattr(spec, "shape")
    return not known or (isinstance(spec, dict) and "index" in spec)


def _told(data):
    spec = getattr(data, "element_spec", data)
    if isinstance(spec, dict):
        return f"the keys {sorted(spec)}"
    return f"{type(spec).__name__} of shape {tuple(getattr(spec, 'shape', ()))}"
