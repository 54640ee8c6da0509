"""Accuracy of a linear classifier, while training."""

import keras
import numpy as np

from cpc_keras.data import hold_out
from cpc_keras.evaluation import LinearProbe as FrozenClassifier
from cpc_keras.training.held_out_probe import HeldOutProbe
from cpc_keras.training.labeled_images import labeled_images


class LinearProbe(HeldOutProbe):
    """Logs `linear_accuracy`: what a linear classifier on the features gets right.

    A Keras callback. The classifier itself, which it fits anew at each measurement, has the same
    name in another folder, as losses and metrics of Keras do: `cpc_keras.evaluation.LinearProbe`.

    Three quarters of each class are fitted on, and the accuracy is that of the others, always the
    same. Multinomial logistic regression, solved to convergence, on frozen features: the measure by
    which the papers compare (van den Oord et al. 2018, arXiv:1807.03748, section 3.2).

    Beside it stands `linear_accuracy_untrained`, that of the network before its first step, where
    the callback was there.

    Args:
        images: `[n, height, width, channels]`, in [0, 255].
        labels: their classes, integers `[n]`; images with labels below 0 are left out.
        groups: names `[n]` of what belongs together, such as patients; the split leaves each whole.
            None where there are none.
        regularization: weight of the L2 penalty, above 0; see `evaluation.LinearProbe`.
        seed: of which images are fitted on.
        every: epochs from one measurement to the next.
        encoder: by default the model's own.
        batch_size: images at a time.

    Raises:
        ValueError: labels or groups that do not fit the images, of which there is only one, or of
            which none can be held out.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> probe = LinearProbe(images, np.array([0, 1] * 4))
        >>> history = model.fit(images, verbose=0, callbacks=[probe]).history
        >>> 0 <= history["linear_accuracy"][-1] <= 1
        True
    """

    compared_with_untrained = ("linear_accuracy",)

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        regularization: float = 1.0,
        seed: int = 0,
        every: int = 1,
        encoder: keras.Model | None = None,
        batch_size: int = 250,
    ):
        images, self._labels, groups = labeled_images(
            images, labels, groups, asked_by="LinearProbe"
        )
        super().__init__(images, every=every, encoder=encoder, batch_size=batch_size)
        self._classifier = FrozenClassifier(regularization)
        self._fit, self._held_out = hold_out(self._labels, seed=seed, groups=groups)
        if not len(self._held_out):
            raise ValueError(
                "LinearProbe fits on a part of each class and is scored on the others. Received "
                f"{len(self._labels)} labels, one a class: give at least two images of a class."
            )

    def measure(self) -> dict[str, float]:
        """Return `linear_accuracy`, in [0, 1]."""
        features = self.features()
        classifier = self._classifier.fit(features[self._fit], self._labels[self._fit])
        probabilities = classifier.predict_proba(features[self._held_out])
        predicted = classifier.classes[probabilities.argmax(axis=1)]
        return {"linear_accuracy": float((predicted == self._labels[self._held_out]).mean())}
