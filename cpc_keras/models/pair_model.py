"""Contrastive predictive coding of pairs, as one Keras model."""

import keras

from cpc_keras.losses import InfoNCE, NTXent
from cpc_keras.models.check_arguments import checked_image_shape
from cpc_keras.models.check_images import check_images
from cpc_keras.models.pretraining_model import PretrainingModel

# The other kinds of `InfoNCE` tell grid positions apart, and pairs have none.
PAIR_CANDIDATES = ("all", "sampled")


@keras.saving.register_keras_serializable("cpc_keras")
class PairModel(PretrainingModel):
    """Learns image features by telling which of N images is the other half of a pair.

    One encoder for both; of a pair (x, y) and N - 1 draws of other y, the true one is to be found
    by `P(i) = softmax_i <z(y_i), z(x)>` (McAllester and Stratos 2018, arXiv:1811.04251, section 4;
    van den Oord et al. 2018, arXiv:1807.03748, with W the identity and c the code of x). `views`
    says what a pair is: `views.TwoViews`, two augmentations of an image, or `views.FramePair`, two
    frames of a clip. With `symmetric=True`, a `head` and strong augmentation it is SimCLR (Chen et
    al. 2020, arXiv:2002.05709; `methods.simclr`).

    `fit` and `evaluate` take images `[batch, height, width, channels]`, or clips
    `[batch, time, height, width, channels]` where the views are frames, in [0, 255], as an array or
    a batched `tf.data.Dataset`, bare, as `(image, label)` pairs or as dicts with the key "image".
    Labels are ignored. They log `loss` (nats), `accuracy` (share of images whose partner is ranked
    first, ties count as wrong) and `mutual_information` (ln N - loss, nats: a lower bound of that
    between the codes' images where they were held out and drawn independently; with
    `symmetric=True` an estimate that follows it, since its negatives come in pairs).

    Attributes:
        encoder: functional `keras.Model`, images to features, of stock layers alone.
        views: the layer that makes pairs.
        head: the layer behind the encoder, or `None`.
        info_nce: the loss, `InfoNCE` or, with `symmetric=True`, `NTXent`.
        image_shape: `(height, width, channels)`.

    Args:
        image_shape: `(height, width, channels)`.
        views: layer that makes a pair of every image or clip.
        encoder: a name (`encoders.PATCH_ENCODERS`: "small", "resnet18", ...) or any `keras.Model`
            from images `[batch, height, width, channels]`, pixels in [0, 255], to codes. Trainable
            batch normalisation is refused: its statistics tell which images came together.
        normalization: of the named encoders: "group", "layer" or "none"; by default the encoder's
            own, see `encoders.patch_encoder`.
        head: layer from codes to the vectors that are compared, in training alone; by default
            codes are compared themselves.
        symmetric: ask both halves for each other, and among the other images' halves of both kinds
            (`NTXent`), where otherwise the second half is asked for among second halves. Goes with
            cosines and all candidates.
        similarity: "dot" (McAllester) or "cosine". Default: "cosine" if `symmetric`, otherwise
            "dot".
        scale: factor on the similarities, the inverse of a temperature. Default: 1 for "dot", 10
            for "cosine".
        candidates: "all" partners of the batch, N the number of images; or "sampled".
        num_negatives: with `candidates="sampled"`: how many, N - 1.
        gather_candidates: whether candidates come from all replicas of a `tf.distribute` strategy,
            so that the loss does not depend on how the batch is cut; see `InfoNCE`.
        seed: integer, for sampled candidates.

    Raises:
        ValueError: views that are no layer, unknown names, an encoder that does not fit.

    Example:
        >>> views = TwoViews(image_augmentation("photos", (32, 32, 3)))
        >>> model = PairModel((32, 32, 3), views=views, encoder="tiny")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        >>> _ = model.fit(np.random.randint(0, 256, (64, 32, 32, 3), "uint8"), verbose=0)
        >>> model.encoder.predict(np.zeros((2, 32, 32, 3)), verbose=0).shape
        (2, 64)
    """

    layer_arguments = ("views", "encoder", "head")
    bounds_information = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        views: keras.layers.Layer,
        encoder: str | keras.Model = "small",
        normalization: str | None = None,
        head: keras.layers.Layer | None = None,
        symmetric: bool = False,
        similarity: str | None = None,
        scale: float | None = None,
        candidates: str = "all",
        num_negatives: int | None = None,
        gather_candidates: bool = True,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = checked_image_shape(image_shape)
        if not isinstance(views, keras.layers.Layer) or not hasattr(views, "takes_clips"):
            raise ValueError(
                "views must be a layer that makes pairs, such as views.TwoViews(augmentation) or "
                f"views.FramePair(gap). Received: {views!r}."
            )
        if candidates not in PAIR_CANDIDATES:
            raise ValueError(
                f"candidates of pairs must be one of {PAIR_CANDIDATES}; the others tell grid "
                f"positions apart. Received: {candidates!r}."
            )
        if similarity is None:
            similarity = "cosine" if symmetric else "dot"
        if symmetric and (similarity, candidates) != ("cosine", "all"):
            raise ValueError(
                'symmetric=True goes with similarity="cosine" and candidates="all". Received: '
                f"similarity={similarity!r}, candidates={candidates!r}."
            )
        self._config = {
            "image_shape": self.image_shape,
            "views": views,
            "encoder": encoder,
            "normalization": normalization,
            "head": head,
            "symmetric": symmetric,
            "similarity": similarity,
            "scale": scale,
            "candidates": candidates,
            "num_negatives": num_negatives,
            "gather_candidates": gather_candidates,
            "seed": seed,
        }
        if scale is None:
            scale = 1.0 if similarity == "dot" else 10.0
        if symmetric:
            self.info_nce = NTXent(1.0 / scale, gather_candidates=gather_candidates)
        else:
            self.info_nce = InfoNCE(
                scale,
                similarity=similarity,
                candidates=candidates,
                num_negatives=num_negatives,
                gather_candidates=gather_candidates,
                seed=seed,
            )
            # Keras tracks generators of layers, not of losses; untracked, JAX would draw the same.
            self.loss_seed_generator = self.info_nce.seed_generator
        self.views, self.head = views, head
        self.encoder = self._build_encoder(encoder, normalization)
        self.network = self._build_network()
        self.averages = {
            name: keras.metrics.Mean(name=name) for name in ("accuracy", "mutual_information")
        }
        self.built = True

    def _build_network(self):
        shape = (None, *self.image_shape) if self.views.takes_clips else self.image_shape
        inputs = keras.Input(shape, dtype="float32", name="images")
        codes = [self.encoder(view) for view in self.views(inputs)]
        if self.head is not None:
            codes = [self.head(code) for code in codes]
        outputs = dict(zip(("predictions", "targets"), codes, strict=True))
        for name, code in outputs.items():
            if len(code.shape) != 2:
                raise ValueError(
                    f"The head must return vectors [batch, d]. Received {name} of shape "
                    f"{tuple(code.shape)}."
                )
        return keras.Model(inputs, outputs, name="network")

    def call(self, inputs, training=False):
        """Return the codes of both halves of every pair.

        Args:
            inputs: images or clips, or a dict that holds them under "image".
            training: passed to the encoder and the head; pairs are drawn in any case.

        Returns:
            Dict of "predictions" and "targets", each `[batch, d]`.
        """
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        return self.network(images, training=training)

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """The mean InfoNCE."""
        pair = self.info_nce.contrast(y_pred["targets"], y_pred["predictions"])
        seen = {
            "accuracy": pair.correct,
            "mutual_information": pair.log_num_candidates - pair.loss,
        }
        for name, values in seen.items():
            self.averages[name].update_state(values)
        return self._share_of_replica(keras.ops.mean(pair.loss))

    def _check_data(self, x, y, batch_size):
        x = check_images(
            x,
            self.image_shape,
            clips=self.views.takes_clips,
            batch_size=batch_size or 32,
            smallest_batch=2,
        )
        return x, y
