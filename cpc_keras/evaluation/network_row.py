"""A row of the comparison: a network trained on the labels."""

from collections.abc import Callable

import keras
import numpy as np

from cpc_keras.data import image_batches

# Two trials, as many as the probes get: the peak learning rate decides most at few labels.
SETTINGS = ({"learning_rate": 1.5e-3}, {"learning_rate": 5e-3})


class NetworkRow:
    """Trains one network, always from the same start, on different labelled subsets.

    Every row of this kind gets the same optimizer (AdamW, weight decay 1e-3), schedule (linear
    warm-up over a tenth of the steps, then cosine to zero), batches, steps and image augmentation.

    Args:
        name: name of the row.
        network: `keras.Model` from images to logits; its weights on entry are where every fit
            starts.
        train_images: all training images, `[n, height, width, channels]`, in [0, 255].
        test_images: `[m, height, width, channels]`.
        image_augmentation: layer applied to training images, or `None`.
        num_steps: function from the number of labels to the number of training steps.
        batch_size: images a step; fewer where there are fewer labels.
        settings: the tuning trials.
        seed: of the order of the batches.
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
        settings=SETTINGS,
        seed: int = 0,
    ):
        self.name = name
        self.settings = tuple(settings)
        self._train, self._test = train_images, test_images
        self._num_steps, self._batch_size, self._seed = num_steps, batch_size, seed
        self._augmentation = image_augmentation
        # Another model of the same layers: it is compiled without touching the one that was passed.
        images = keras.Input(network.input_shape[1:], name="images")
        self._network = keras.Model(images, network(images), name=name)
        self._network.compile(
            optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=False,
        )
        self._network.optimizer.build(self._network.trainable_variables)
        # One compiled network serves all fits (tracing anew takes seconds): its state is put back.
        self._variables = [*self._network.variables, *self._network.optimizer.variables]
        if image_augmentation is not None:
            self._variables += image_augmentation.variables  # of its random numbers
        self._start = [keras.ops.convert_to_numpy(v).copy() for v in self._variables]

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
        self._restart()  # here too: the input pipeline may have drawn on after the last fit
        try:
            return self._fit_predict(index, labels, setting, held_out)
        finally:
            self._restart()  # other rows may share the weights

    def _restart(self):
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)

    def _fit_predict(self, index, labels, setting, held_out):
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
            callbacks=[_WarmUpCosine(setting["learning_rate"], steps)],
            shuffle=False,  # the dataset does it
            verbose=0,
        )
        images = self._test if held_out is None else self._train[held_out]
        logits = self._network.predict(images, batch_size=250, verbose=0)
        return np.asarray(keras.ops.softmax(np.asarray(logits, "float32")))

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
