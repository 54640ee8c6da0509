"""A row of the comparison: a network trained on the labels."""

from collections.abc import Callable

import keras
import numpy as np

from cpc_keras.data import image_batches
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.linear_probe import checked_class_weight
from cpc_keras.evaluation.probe_row import SETTINGS as PROBE_SETTINGS
from cpc_keras.evaluation.probe_row import ProbeRow

# Two trials, as many as the probes get: the peak learning rate decides most at few labels. Less
# must be learnt, and more can be lost, where the head starts as a probe.
SETTINGS = ({"learning_rate": 1.5e-3}, {"learning_rate": 5e-3})
FINE_TUNING_SETTINGS = ({"learning_rate": 3e-4}, {"learning_rate": 1.5e-3})


class NetworkRow:
    """Trains one network, always from the same start, on different labelled subsets.

    Every row of this kind gets the same optimizer (AdamW, weight decay 1e-3), schedule (linear
    warm-up over a tenth of the steps, then cosine to zero), batches, steps and image augmentation.

    Args:
        name: name of the row.
        network: `keras.Model` from images to logits; its weights are where every fit starts. A
            copy is trained; the model itself stays as it is.
        train_images: all training images, `[n, height, width, channels]`, in [0, 255].
        test_images: `[m, height, width, channels]`.
        image_augmentation: layer applied to training images, or `None`.
        num_steps: function from the number of labels to the number of training steps.
        batch_size: images a step; fewer where there are fewer labels.
        start_at_probe: begin with the linear probe on the network's own features as its last layer
            instead of a random one, so that what the features are worth is not trained away first
            (CPC v2, arXiv:1905.09272, fine-tunes from the frozen classifier; Kumar et al. 2022,
            arXiv:2202.10054). For networks whose last layer is `Dense` without activation.
        jit_compile: compile the training steps with XLA.
        settings: the tuning trials; by default learning rates that fit `start_at_probe`.
        class_weight: "balanced" weights the loss of each image by the inverse of the number of its
            class, with a mean of 1, and so does the probe of `start_at_probe`.
        seed: of the order of the batches.
        callbacks: of every fit, for example one that moves a progress bar.

    Raises:
        NotImplementedError: Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        name: str,
        network: keras.Model,
        *,
        train_images: np.ndarray,
        test_images: np.ndarray,
        image_augmentation: keras.layers.Layer | None,
        num_steps: Callable[[int], int],
        batch_size: int = 32,
        start_at_probe: bool = False,
        jit_compile: bool = False,
        settings=None,
        class_weight: str | None = None,
        seed: int = 0,
        callbacks=(),
    ):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(
                f"NetworkRow trains on TensorFlow alone. Received: Keras on "
                f"{keras.backend.backend()!r}. Load the model in a process with "
                "KERAS_BACKEND=tensorflow; probes on its features run on every backend."
            )
        self.name = name
        self.settings = tuple(settings or (FINE_TUNING_SETTINGS if start_at_probe else SETTINGS))
        self._train, self._test = train_images, test_images
        self._num_steps, self._batch_size, self._seed = num_steps, batch_size, seed
        self._augmentation, self._callbacks = image_augmentation, tuple(callbacks)
        self._class_weight = checked_class_weight(class_weight)
        # Rows share an encoder: each trains a copy.
        self._network = keras.models.clone_model(network)
        self._network.set_weights(network.get_weights())
        optimizer = keras.optimizers.AdamW(1e-3, weight_decay=1e-3)
        if any(layer.compute_dtype == "float16" for layer in self._network._flatten_layers()):
            # Keras adds it by the policy of the whole alone, which is the session's.
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self._network.compile(
            optimizer=optimizer,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=jit_compile,
        )
        self._network.optimizer.build(self._network.trainable_variables)
        # One compiled network serves all fits (tracing anew takes seconds): its state is put back.
        self._variables = [*self._network.variables, *self._network.optimizer.variables]
        if image_augmentation is not None:
            self._variables += image_augmentation.variables  # of its random numbers
        self._start = [keras.ops.convert_to_numpy(v).copy() for v in self._variables]
        self._probe = None
        if start_at_probe:
            below = keras.Model(self._network.inputs, self._network.layers[-1].input)
            self._probe = ProbeRow(
                f"{name}_start",
                lambda images: extract_features(below, images),
                train_images=train_images,
                test_images=test_images[:1],  # predicts nothing
                num_classes=network.output_shape[-1],
                image_augmentation=image_augmentation,
                class_weight=class_weight,
            )

    @property
    def network(self) -> keras.Model:
        """The network as the newest fit has left it."""
        return self._network

    def fit_predict(self, index, labels, *, setting, held_out=None) -> np.ndarray:
        """Train on `train[index]`; return class probabilities of `train[held_out]` or the test set.

        With `held_out`, a tuning trial, training takes half the steps.

        Args:
            index: positions of the labelled training images, `[k]`.
            labels: their classes, `[k]`.
            setting: one of `settings`.
            held_out: positions in the training images; by default the test images are predicted.

        Returns:
            `[number predicted, num_classes]`.
        """
        self._restart()
        if self._probe is not None:
            self._start_at_probe(index, labels)
        steps = self._num_steps(len(index))
        if held_out is not None:
            steps = max(1, steps // 2)  # a trial: half the steps tell the settings apart
        batches = (
            image_batches(
                self._train[index],
                labels=np.asarray(labels),
                batch_size=min(self._batch_size, len(index)),
                seed=self._seed,
            )
            .map(self._augmented)
            .prefetch(2)
        )
        self._network.fit(
            batches,
            steps_per_epoch=steps,
            callbacks=[_WarmUpCosine(setting["learning_rate"], steps), *self._callbacks],
            class_weight=self._weights(labels),
            shuffle=False,  # the dataset does it
            verbose=0,
        )
        images = self._test if held_out is None else self._train[held_out]
        logits = self._network.predict(images, batch_size=250, verbose=0)
        return np.asarray(keras.ops.softmax(np.asarray(logits, "float32")))

    def _restart(self):
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)

    def _start_at_probe(self, index, labels):
        probe = self._probe.fit(index, labels, setting=PROBE_SETTINGS[0])
        self._restart()  # the probe may have drawn augmented copies, or have had them already
        head = self._network.layers[-1]
        kernel, bias = (np.zeros(variable.shape, "float32") for variable in head.weights)
        kernel[:, probe.classes], found = probe.weights()
        bias[:] = found.min()  # of classes without a label
        bias[probe.classes] = found
        head.set_weights([kernel, bias])

    def _weights(self, labels):
        if self._class_weight is None:
            return None
        classes, counts = np.unique(labels, return_counts=True)
        weights = len(labels) / (len(classes) * counts)
        return {int(c): float(w) for c, w in zip(classes, weights, strict=True)}

    def _augmented(self, batch):
        # In the input pipeline, so that it runs beside the training step.
        images = keras.ops.cast(batch["image"], "float32")
        if self._augmentation is not None:
            images = self._augmentation(images, training=True)
        return images, batch["label"]


class _WarmUpCosine(keras.callbacks.Callback):
    # A callback, not a schedule inside the optimizer: its peak changes between fits of one
    # compiled network.
    def __init__(self, peak, num_steps):
        super().__init__()
        self._peak, self._num_steps = peak, num_steps

    def on_train_batch_begin(self, batch, logs=None):
        warm_up = max(1, self._num_steps // 10)
        progress = max(0, batch - warm_up) / max(1, self._num_steps - warm_up)
        factor = min(1.0, (batch + 1) / warm_up) * 0.5 * (1 + np.cos(np.pi * progress))
        self.model.optimizer.learning_rate.assign(self._peak * factor)
