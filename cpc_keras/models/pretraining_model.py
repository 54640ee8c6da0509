"""What the models of all methods have in common."""

import functools
import os

import keras
from keras import ops

from cpc_keras.encoders import patch_encoder as checked_encoder
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.ops import num_replicas

# Arguments of `keras.Model.compile` for what these models have themselves.
_OF_THE_MODEL = ("loss", "loss_weights", "metrics", "weighted_metrics")


def _under_own_policy(init):
    """The constructor, whose layers get the policy of the model, not that of today's session."""

    @functools.wraps(init)
    def build(self, *args, **kwargs):
        with dtype_scope(kwargs.get("dtype")):
            init(self, *args, **kwargs)

    return build


class PretrainingModel(keras.Model):
    """A model that learns from images without labels and gives an encoder.

    Subclasses set `encoder` (functional `keras.Model`, images to features), `network` (what is
    trained) and `image_shape`, keep their arguments in `_config`, name those of them that may be
    layers, or lists of them, in `layer_arguments`, look at data in `_check_data` and compute what
    is minimised in `_method_loss`. Use one of them: `CPCModel`, `PairModel`, `PretextModel`,
    `InstanceModel`, `SemiSupervisedModel`.

    Attributes:
        judges_held_out: whether `evaluate` means something for images that were not trained on.
        takes_sample_weight: whether the loss weights its examples.
        uses_unlabeled: whether images without a label add to the loss.
        bounds_information: whether `mutual_information` is logged: the loss bounds it, or follows.
    """

    judges_held_out = True
    takes_sample_weight = False
    uses_unlabeled = True
    bounds_information = False

    layer_arguments = ()

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _under_own_policy(cls.__init__)

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        *args,
        **kwargs,
    ):
        """Choose the optimizer, and how steps run; arguments are those of `keras.Model.compile`.

        Raises:
            ValueError: a `loss`, `loss_weights`, `metrics` or `weighted_metrics`: the model has its
                own, and would ignore or break on others.
        """
        own = (loss, loss_weights, metrics, weighted_metrics)
        given = {name: value for name, value in zip(_OF_THE_MODEL, own, strict=True) if value}
        if given:
            logged = ", ".join(dict.fromkeys(["loss", *(metric.name for metric in self.metrics)]))
            raise ValueError(
                f"{type(self).__name__} has a loss of its own and logs {logged}. Expected "
                f"compile(optimizer=...) without {', '.join(_OF_THE_MODEL)}. Received: "
                f"{', '.join(f'{name}={value!r}' for name, value in given.items())}."
            )
        super().compile(optimizer, None, None, None, None, *args, **kwargs)

    def compile_from_config(self, config):
        """Compile as a saved model was; Keras leaves models with a `compile` of their own alone."""
        config = keras.saving.deserialize_keras_object(config)
        # Files of before may hold what was ignored.
        self.compile(**{k: v for k, v in config.items() if k not in _OF_THE_MODEL})
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, y=None, batch_size=None, *args, class_weight=None, **kwargs):
        """Train on images; arguments and result are those of `keras.Model.fit`.

        Raises:
            ValueError: images of the wrong rank, shape or type, batches of a single image where
                that leaves one candidate, or weights where there are no labels. (What only the
                values of a dataset's first batch tell is found when it is read: TensorFlow then
                raises `tf.errors.InvalidArgumentError` with the same words.)
        """
        self._check_sample_weight(kwargs.get("sample_weight"))
        self._weight_classes(class_weight)
        x, y = self._check_data(x, y, batch_size)
        held_out = kwargs.get("validation_data")
        if held_out is not None:
            size = kwargs.get("validation_batch_size") or batch_size
            *held_out, weights = keras.utils.unpack_x_y_sample_weight(held_out)
            held_out = self._check_data(*held_out, size)
            kwargs["validation_data"] = keras.utils.pack_x_y_sample_weight(*held_out, weights)
        self._build_optimizer()
        return super().fit(x, y, batch_size, *args, **kwargs)

    def evaluate(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Measure what `fit` logs; as `keras.Model.evaluate`."""
        self._check_sample_weight(kwargs.get("sample_weight"))
        if not kwargs.get("_use_cached_eval_dataset"):  # what `fit` validates on, it has checked
            x, y = self._check_data(x, y, batch_size)
        return super().evaluate(x, y, batch_size, *args, **kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the method's loss and what the layers of one's own encoder add to it.

        That is regularizers of weights and activities and `add_loss`, as in `keras.Model`. The
        `loss` that is logged contains them; accuracies and bounds are of the method alone.
        """
        self._check_sample_weight(sample_weight)
        # Taken first: a method may call layers once more, which then forget what they added.
        added = [ops.sum(ops.cast(loss, "float32")) for loss in self.losses]
        loss = self._method_loss(x, y, y_pred, sample_weight, training)
        return loss + self._share_of_replica(sum(added)) if added else loss

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """A replica's share of what is minimised, a scalar; arguments as of `compute_loss`."""
        raise NotImplementedError

    def _check_sample_weight(self, sample_weight):
        # Not in `compute_loss` alone: where there is no `y`, Keras drops the weights before.
        if sample_weight is not None and not self.takes_sample_weight:
            self._refuse_weights("sample_weight")

    def _weight_classes(self, class_weight):
        """Weight labelled images by their class, or refuse it."""
        if class_weight is not None:
            self._refuse_weights("class_weight")

    def _refuse_weights(self, name):
        raise ValueError(
            f"{type(self).__name__} learns without labels, all images alike, and takes no {name}. "
            "Weights of labelled images are for SemiSupervisedModel."
        )

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Return the metrics, as `keras.Model.compute_metrics`."""
        found = super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        # Of what several workers return, Keras takes the mean over the first axis.
        return (
            {k: keras.ops.reshape(v, (1,)) for k, v in found.items()} if self._is_joined else found
        )

    @property
    def _is_joined(self):
        """Whether several processes train this model together, by Keras's own test."""
        if keras.backend.backend() != "tensorflow":
            return False
        import tensorflow as tf

        strategy = self.distribute_strategy
        is_of_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        return is_of_workers and strategy.extended._in_multi_worker_mode()

    def _build_optimizer(self):
        # TensorFlow traces a step that makes variables twice; tracing is most of the first step.
        if keras.backend.backend() != "tensorflow" or not self.compiled or self.optimizer.built:
            return
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Under a strategy, Keras builds model, metrics and optimizer by a batch; of several workers
        # it cannot join dicts. The model and its metrics are built, and by `fit` the optimizer.
        if not self._is_joined:
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def summary(self, **kwargs):
        """Print the layers of the pre-training network; arguments as in `keras.Model.summary`."""
        self.network.summary(**kwargs)

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature=None,
        *,
        overwrite: bool = False,
        **kwargs,
    ) -> None:
        """Write the encoder, and what is needed to train on, as one directory.

        The directory opens with `tf.keras.models.load_model` (Keras 3.7 or later; a patch encoder
        of yours with, say, both `keras.ops.reshape` and a `Reshape` layer: 3.12 or later),
        `tf.saved_model.load` and `keras.layers.TFSMLayer` where this package is not installed, and
        with `from_preset` of the model's class. It appears whole or not at all.

        Args:
            filepath: directory to write; its parents are made.
            format: "tf_saved_model" writes that directory; any other format of
                `keras.Model.export` ("onnx", ...) writes the encoder alone in that format.
            verbose: whether to print what was written.
            input_signature: replaces the signature of the `serve` endpoint, as in Keras.
            overwrite: whether an artifact of the same path may be replaced.
            **kwargs: further arguments of `keras.Model.export`; for the directory
            `include_optimizer` and `facts` of `export.write_artifact`.

        Raises:
            FileExistsError: something is there and `overwrite` is not set.
        """
        if format != "tf_saved_model":
            self.encoder.export(
                filepath, format, verbose=verbose, input_signature=input_signature, **kwargs
            )
            return
        from cpc_keras.export import write_artifact

        write_artifact(
            self,
            filepath,
            overwrite=overwrite,
            input_signature=input_signature,
            verbose=bool(verbose),
            **kwargs,
        )

    @classmethod
    def from_preset(cls, preset: str | os.PathLike) -> "PretrainingModel":
        """Load a pre-training model from an exported directory or by a preset's name.

        Args:
            preset: directory written by `export`, or the name of a shipped preset.

        Returns:
            The model, with all weights, ready to use; to train on, `compile` it first, with an
            optimizer of your own. (`keras.saving.load_model` of `pretraining.keras`, in the
            directory, also brings the state of the optimizer it was trained with.)

        Raises:
            ValueError: no such directory or name; the shipped names are listed. Or it holds a
                model of another class, which is named.
        """
        from cpc_keras.presets import load_preset

        return load_preset(preset, cls)

    def _build_encoder(self, encoder, normalization):
        """Return the functional model from whole images to features, by name or of a model."""
        codes = checked_encoder(encoder, patch_shape=self.image_shape, normalization=normalization)
        images = keras.Input(self.image_shape, dtype="float32", name="images")
        # Features leave in float32 whatever the encoder computed in.
        as_float32 = keras.layers.Activation("linear", dtype="float32", name="features")
        return keras.Model(images, as_float32(codes(images)), name="encoder")

    @staticmethod
    def _share_of_replica(loss):
        """A replica's share of the mean over all: Keras adds up what replicas give."""
        return loss / num_replicas()

    def _check_data(self, x, y, batch_size):
        """Refuse what cannot be trained on; return `x` and `y` as Keras is to have them."""
        raise NotImplementedError

    def get_config(self):
        """Return the constructor's arguments, layers and models serialised."""
        config = {**super().get_config(), **self._config}
        for name in self.layer_arguments:
            if isinstance(config[name], keras.layers.Layer | list):
                config[name] = keras.saving.serialize_keras_object(config[name])
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Rebuild a model from `get_config`."""
        config = dict(config)
        for name in cls.layer_arguments:
            if isinstance(config.get(name), dict | list):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        for name in ("encoder", "patch_encoder"):
            if isinstance(config.get(name), keras.Model):
                # Files of before may name one, which was ignored.
                config["normalization"] = None
        return cls(**config)
