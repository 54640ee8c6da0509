"""The linear classifier of the papers, trained by steps."""

import keras
import numpy as np


class SGDProbe:
    """A linear layer behind batch normalisation without scale, trained by SGD with momentum.

    The form in which CPC's numbers are told: momentum 0.9, and the learning rate 0.1, 0.01 and
    0.001 for 50, 25 and 10 of every 85 steps (van den Oord et al. 2018, arXiv:1807.03748, section
    3.2); features normalised by batch and not scaled again (Henaff et al. 2019, arXiv:1905.09272).
    It has more to choose than `LinearProbe` and is no optimum of anything: take it to compare with
    published numbers, and for more features than memory holds at once in double precision.

    Args:
        learning_rate: the first one; a tenth and a hundredth of it follow.
        num_steps: of all three; the papers take 85,000.
        batch_size: features a step, 2,048 in the papers; fewer where there are fewer.
        seed: of the order and the initial weights.

    Raises:
        ValueError: a `learning_rate` that is not above 0, or `num_steps` or `batch_size` below 1.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> features = rng.normal(size=(40, 5)) + 2 * labels[:, None]
        >>> probe = SGDProbe(num_steps=50).fit(features, labels)
        >>> probe.predict_proba(features).shape
        (40, 2)
    """

    def __init__(
        self,
        learning_rate: float = 0.1,
        *,
        num_steps: int = 3000,
        batch_size: int = 2048,
        seed: int = 0,
    ):
        if not (learning_rate > 0 and num_steps >= 1 and batch_size >= 1):
            raise ValueError(
                "Expected a learning rate above 0, and numbers of steps and of features a step of "
                f"at least 1. Received: {learning_rate}, {num_steps} and {batch_size}."
            )
        self.learning_rate, self.num_steps = learning_rate, num_steps
        self.batch_size, self.seed = batch_size, seed

    def fit(self, features: np.ndarray, labels: np.ndarray, *, scale_by: np.ndarray | None = None):
        """Fit on `features [n, d]` and `labels`: classes `[n]`, or 0 and 1 `[n, classes]`.

        Args:
            features: labelled features, `[n, d]`.
            labels: integers; of classes `[n]` at least two.
            scale_by: not used: batches normalise. `LinearProbe` has it.

        Returns:
            The probe itself.

        Raises:
            ValueError: labels of fewer than two classes.
        """
        labels = np.asarray(labels)
        self._several = labels.ndim == 2
        if self._several:
            self.classes, targets = np.arange(labels.shape[1]), labels.astype("float32")
        else:
            self.classes, targets = np.unique(labels, return_inverse=True)
            targets = np.eye(len(self.classes), dtype="float32")[targets]
        if len(self.classes) < 2:
            raise ValueError(
                f"A linear probe needs labels of at least two classes. Received {len(labels)} "
                f"labels of the class(es) {self.classes.tolist()}."
            )
        loss = keras.losses.BinaryCrossentropy if self._several else None
        loss = (loss or keras.losses.CategoricalCrossentropy)(from_logits=True)
        batch_size = min(self.batch_size, len(features))
        # 50, 25 and 10 of every 85 steps.
        ends = [round(self.num_steps * part / 85) for part in (50, 75)]
        rates = [self.learning_rate * factor for factor in (1.0, 0.1, 0.01)]
        initial = keras.initializers.GlorotUniform(seed=self.seed)
        dense = keras.layers.Dense(len(self.classes), kernel_initializer=initial, dtype="float32")
        self._network = keras.Sequential(
            [
                keras.Input(features.shape[1:]),
                keras.layers.BatchNormalization(scale=False, dtype="float32"),
                dense,
            ]
        )
        self._network.compile(
            optimizer=keras.optimizers.SGD(
                keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates), momentum=0.9
            ),
            loss=loss,
            jit_compile=False,
        )
        self._network.fit(
            _batches(features, targets, batch_size, self.num_steps, self.seed),
            steps_per_epoch=self.num_steps,
            shuffle=False,  # the generator does it
            verbose=0,
        )
        return self

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities `[n, len(self.classes)]`."""
        logits = self._network.predict(np.asarray(features, "float32"), batch_size=4096, verbose=0)
        activation = keras.ops.sigmoid if self._several else keras.ops.softmax
        return keras.ops.convert_to_numpy(activation(logits)).astype("float64")


def _batches(features, targets, batch_size, num_steps, seed):
    rng = np.random.default_rng(seed)
    order = np.array([], dtype=np.int64)
    for _ in range(num_steps):
        while len(order) < batch_size:
            order = np.concatenate([order, rng.permutation(len(features))])
        index, order = order[:batch_size], order[batch_size:]
        yield features[index].astype("float32"), targets[index]
