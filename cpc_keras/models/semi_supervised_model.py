"""A classifier from labelled and unlabelled images, as one Keras model."""

from collections.abc import Sequence

import keras
from keras import layers, ops

from cpc_keras.losses import UnlabeledTerm
from cpc_keras.models.check_arguments import checked_image_augmentation, checked_image_shape
from cpc_keras.models.check_images import check_images
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.ops import gather_replicas


@keras.saving.register_keras_serializable("cpc_keras")
class SemiSupervisedModel(PretrainingModel):
    """Trains an encoder and a classifier on images of which few have labels.

    The loss is the cross-entropy of the labelled images of a batch, and what a method adds:
    `terms`, of the classifier's logits (`losses.PseudoLabel`, `losses.VirtualAdversarial`,
    `losses.EntropyMinimization`, or your own `losses.UnlabeledTerm`), and with `views` a pretext
    task on all images. With neither it is the supervised baseline. With `views` that make several
    copies of an image, such as `views.Rotations`, the labelled images are classified in each of
    them (S4L, Zhai et al. 2019, arXiv:1905.03670, section 3.1 and its published code).

    `fit` takes batches `{"image", "label"}` with label -1 for images without one, as
    `data.mixed_batches` makes them, or images and labels as `fit(images, labels)`: integers `[n]`
    from 0 to `num_classes - 1`. Means are over the labelled images of the whole batch, however it
    is shared by replicas. `fit` and `evaluate` log `loss`, `cross_entropy` and `accuracy` of the
    labelled images, every term by its name without its weight, and of a pretext task `task` and
    `task_accuracy`. `predict` gives the classifier's logits.

    `class_weight` and `sample_weight` of `fit` multiply the cross-entropies of labelled images,
    whose sum is divided by their number, as in Keras (not by the sum of the weights: weights whose
    mean is 1 keep its size). Accuracy, terms and the pretext task are without weights, and
    `evaluate` knows no class weights. A class without one has 1.

    Attributes:
        encoder: functional `keras.Model`, images to features, of stock layers alone.
        classifier: functional `keras.Model`, images to logits float32 `[batch, num_classes]`, of
            stock layers alone: `keras.ops.softmax` makes probabilities of them.
        terms: the terms.
        views: the layer of the pretext task, or `None`.
        image_shape: `(height, width, channels)`.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: number of classes, 2 or more.
        encoder: a name (`encoders.PATCH_ENCODERS`) or any `keras.Model` from images to codes;
            trainable batch normalization is refused as in `PairModel`.
        normalization: of the named encoders: "group", "layer" or "none"; by default the encoder's
            own, see `encoders.patch_encoder`.
        terms: `UnlabeledTerm`s of unlike names.
        views: layer from images to `(tiles, labels)`, tiles `[batch, copies, 1, height, width,
            channels]` of the images' shape, the first copy the image itself, and labels
            `[batch, copies]` in 0 to `views.num_classes - 1`.
        task_weight: factor of the pretext task's cross-entropy; S4L has 1.
        image_augmentation: random layer that keeps the shape, or name of
            `augmentations.image_augmentation`, applied to all images in training.

    Raises:
        ValueError: arguments that are not as above; in `fit`, batches without labels, labels or
            weights that are not as above.

    Example:
        >>> model = SemiSupervisedModel((8, 8, 1), 3, encoder="mlp", terms=[PseudoLabel()])
        >>> model.compile(optimizer="adam")
        >>> labels = np.array([0, 2, -1, -1])
        >>> history = model.fit({"image": images, "label": labels}, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'cross_entropy', 'loss', 'pseudo_label']
        >>> model.classifier(images).shape
        TensorShape([4, 3])
    """

    layer_arguments = ("encoder", "terms", "views", "image_augmentation")
    takes_sample_weight = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        *,
        encoder: str | keras.Model = "small",
        normalization: str | None = None,
        terms: Sequence[UnlabeledTerm] = (),
        views: keras.layers.Layer | None = None,
        task_weight: float = 1.0,
        image_augmentation: str | keras.layers.Layer | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = checked_image_shape(image_shape)
        terms = _checked_terms(terms)
        if int(num_classes) != num_classes or num_classes < 2:
            raise ValueError(f"num_classes must be 2 or more. Received: {num_classes!r}.")
        if views is not None and not hasattr(views, "num_classes"):
            raise ValueError(
                "views must be a layer that makes a task of every image, such as "
                f"views.Rotations(). Received: {views!r}."
            )
        self._config = {
            "image_shape": self.image_shape,
            "num_classes": num_classes,
            "encoder": encoder,
            "normalization": normalization,
            "terms": terms,
            "views": views,
            "task_weight": task_weight,
            "image_augmentation": image_augmentation,
        }
        self.num_classes, self.task_weight = int(num_classes), float(task_weight)
        self.views, self.terms = views, terms
        self.encoder = self._build_encoder(encoder, normalization)
        to_logits = layers.Dense(self.num_classes, dtype="float32", name="logits")
        logits = to_logits(self.encoder.output)
        self.classifier = keras.Model(self.encoder.input, logits, name="classifier")
        self.network = self._build_network(
            to_logits, checked_image_augmentation(image_augmentation, self.image_shape)
        )
        self.averages = {name: keras.metrics.Mean(name=name) for name in self._average_names()}
        self._class_weight = None
        self.built = True

    @property
    def uses_unlabeled(self):
        """Whether images without a label add to the loss: by a term or a pretext task."""
        return bool(self.terms) or self.views is not None

    def _build_network(self, to_logits, image_augmentation):
        images = x = keras.Input(self.image_shape, dtype="float32", name="images")
        if image_augmentation is not None:
            x = image_augmentation(x)
            if tuple(x.shape[1:]) != self.image_shape:
                raise ValueError(
                    f"image_augmentation must keep the shape of the images, {self.image_shape}. "
                    f"Received one that makes it {tuple(x.shape[1:])}: resize or crop the data "
                    "instead."
                )
        outputs = {"images": x}
        if self.views is None:
            outputs["logits"] = to_logits(self.encoder(x))[:, None]
            return keras.Model(images, outputs, name="network")
        tiles, outputs["task_labels"] = self.views(x)
        copies = tiles.shape[1]
        if tuple(tiles.shape[2:]) != (1, *self.image_shape):
            raise ValueError(
                f"views must make copies of one tile of the images' shape, {self.image_shape}. "
                f"Received copies of {tiles.shape[2]} of shape {tuple(tiles.shape[3:])}."
            )
        features = self.encoder(ops.reshape(tiles, (-1, *self.image_shape)))
        to_task = layers.Dense(self.views.num_classes, dtype="float32", name="task_logits")
        for name, head in (("logits", to_logits), ("task_logits", to_task)):
            logits = head(features)
            outputs[name] = ops.reshape(logits, (-1, copies, logits.shape[-1]))
        return keras.Model(images, outputs, name="network")

    def _average_names(self):
        task = () if self.views is None else ("task", "task_accuracy")
        return ("cross_entropy", "accuracy", *(term.name for term in self.terms), *task)

    def call(self, inputs, training=False):
        """Return what the loss is made of.

        Args:
            inputs: images, or a dict that holds them under "image".
            training: whether to augment the images.

        Returns:
            Dict of "images", as the classifier saw them; "logits" `[batch, copies, num_classes]`;
            and with `views` "task_logits" and "task_labels", `[batch, copies, ...]`.
        """
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        return self.network(images, training=training)

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """The cross-entropy of the labelled images and what the method adds."""
        labels = _labels_of(x, y)
        logits = y_pred["logits"]
        labeled = ops.cast(labels >= 0, "float32")
        known = ops.maximum(labels, 0)
        copies = ops.repeat(known[:, None], logits.shape[1], axis=1)
        cross_entropy = _cross_entropy(copies, logits)
        if sample_weight is not None:
            cross_entropy *= _checked_weights(sample_weight)
        if training and self._class_weight is not None:
            cross_entropy *= ops.take(ops.convert_to_tensor(self._class_weight, "float32"), known)
        loss = self._mean("cross_entropy", cross_entropy, labeled)
        upright = logits[:, 0]
        self._log("accuracy", ops.equal(ops.argmax(upright, axis=-1), known), labeled)
        masks = {"all": ops.ones_like(labeled), "unlabeled": 1.0 - labeled}
        for term in self.terms:
            values = term(
                upright, images=y_pred["images"], classify=self._classify, training=training
            )
            loss += term.weight_now() * self._mean(term.name, values, masks[term.rows])
        if self.views is not None:
            truth, task_logits = y_pred["task_labels"], y_pred["task_logits"]
            loss += self.task_weight * self._mean(
                "task", _cross_entropy(truth, task_logits), masks["all"]
            )
            hits = ops.equal(ops.argmax(task_logits, axis=-1), truth)
            self._log("task_accuracy", ops.mean(ops.cast(hits, "float32"), axis=-1), masks["all"])
        return loss

    def _classify(self, images):
        return self.classifier(images, training=False)

    def _mean(self, name, values, mask):
        """This replica's share of the mean over what a mask selects of the whole batch."""
        self._log(name, values, mask)
        counts, _ = gather_replicas(ops.sum(mask)[None])
        return ops.sum(values * mask) / ops.maximum(ops.sum(counts), 1.0)

    def _log(self, name, values, mask):
        self.averages[name].update_state(ops.cast(values, "float32"), sample_weight=mask)

    def predict_step(self, *args):
        """Return the classifier's logits of a batch, float32 `[batch, num_classes]`."""
        *state, data = args  # on JAX the values of all variables come along
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        images = x["image"] if isinstance(x, dict) else x
        if not state:
            return self.classifier(images, training=False)
        ((trainable, non_trainable),) = state
        variables = [*self.trainable_variables, *self.non_trainable_variables]
        values = zip(variables, [*trainable, *non_trainable], strict=True)
        with keras.StatelessScope(state_mapping=values):
            return self.classifier(images, training=False), non_trainable

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Train one step; as `keras.Model.train_on_batch`."""
        self._weight_classes(class_weight)
        return super().train_on_batch(x, y, sample_weight, return_dict=return_dict)

    def _weight_classes(self, class_weight):
        # Not left to Keras, which looks for labels in `y` alone and takes -1 for a class.
        weights = None
        if class_weight is not None:
            known = all(key in range(self.num_classes) for key in class_weight)
            if not known or not all(value >= 0 for value in class_weight.values()):
                raise ValueError(
                    "class_weight must be a dict from classes, 0 to "
                    f"{self.num_classes - 1}, to numbers >= 0. Received: {class_weight!r}."
                )
            weights = tuple(float(class_weight.get(n, 1.0)) for n in range(self.num_classes))
        if weights != self._class_weight:
            self._class_weight = weights
            self.train_function = None  # traced with the weights of before

    def _check_data(self, x, y, batch_size):
        # Labels of a dict stand in `y` as well: without one, Keras drops sample weights.
        y = _labels_in(x, y)
        if hasattr(y, "shape") and hasattr(y, "dtype"):
            labels = keras.ops.convert_to_numpy(_checked_labels(y))
            if labels.size and labels.max() >= self.num_classes:
                begins = " Classes count from 0: pass labels - 1." if labels.min() == 1 else ""
                raise ValueError(
                    f"Expected labels from 0 to {self.num_classes - 1}, and -1 for images without "
                    f"one. Received labels from {labels.min()} to {labels.max()}.{begins}"
                )
        return check_images(x, self.image_shape, batch_size=batch_size or 32), y


def _checked_terms(terms):
    terms = list(terms)
    for term in terms:
        if not isinstance(term, UnlabeledTerm):
            raise ValueError(
                "terms must be losses.UnlabeledTerm layers, such as losses.PseudoLabel(). "
                f"Received: {term!r}."
            )
    names = [term.name for term in terms]
    if len(set(names)) < len(names):
        raise ValueError(
            f"terms must have unlike names, under which they are logged. Received: {names}."
        )
    return terms


def _labels_in(x, y):
    return x.get("label", y) if isinstance(x, dict) else y


def _labels_of(x, y):
    labels = _labels_in(x, y)
    if labels is None:
        raise ValueError(
            'SemiSupervisedModel needs labels, -1 for images without one: under the key "label" '
            'beside "image", or as fit(images, labels). Received images alone. Of arrays '
            "data.mixed_batches makes such batches."
        )
    return ops.cast(_checked_labels(labels), "int32")


def _checked_labels(labels):
    shape, dtype = tuple(labels.shape), keras.backend.standardize_dtype(labels.dtype)
    if len(shape) != 1 or not keras.backend.is_int_dtype(dtype):
        hint = 'labels.astype("int32"), with -1 for images without one'
        if len(shape) == 2:
            hint = "labels[:, 0]" if shape[1] == 1 else "of one-hot labels, labels.argmax(axis=-1)"
        raise ValueError(
            "Expected labels as integers [batch], the number of each image's class. Received shape "
            f"{shape} and type {dtype}. Pass {hint}."
        )
    return labels


def _checked_weights(sample_weight):
    shape = tuple(sample_weight.shape)
    if len(shape) != 1 and shape[1:] != (1,):
        raise ValueError(
            f"Expected one sample_weight for each image, [batch]. Received shape {shape}."
        )
    return ops.reshape(ops.cast(sample_weight, "float32"), (-1,))


def _cross_entropy(labels, logits):
    """Mean over the copies of each image, float32 `[batch]`."""
    log_p = ops.log_softmax(ops.cast(logits, "float32"))
    of_label = ops.take_along_axis(log_p, ops.cast(labels, "int32")[..., None], axis=-1)
    return -ops.mean(of_label[..., 0], axis=-1)
