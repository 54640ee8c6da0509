"""A row of the comparison: a linear probe on fixed features."""

import numpy as np

from cpc_keras.evaluation.linear_probe import LinearProbe

# Two trials, as many as the networks get.
SETTINGS = ({"regularization": 1.0}, {"regularization": 30.0})


class ProbeRow:
    """Linear probe on features that were computed once.

    Args:
        name: name of the row.
        train_features: of all training images, labelled or not, `[n, d]`.
        test_features: `[m, d]`.
        num_classes: number of classes.
        settings: the tuning trials.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> x = rng.normal(size=(40, 5)).astype("float32") + labels[:, None]
        >>> row = ProbeRow("raw_pixels", x, x, num_classes=2)
        >>> row.fit_predict(np.arange(40), labels, setting=row.settings[0]).shape
        (40, 2)
    """

    def __init__(
        self,
        name: str,
        train_features: np.ndarray,
        test_features: np.ndarray,
        *,
        num_classes: int,
        settings=SETTINGS,
    ):
        self.name = name
        self.settings = tuple(settings)
        self._train, self._test = train_features, test_features
        self._num_classes = num_classes

    def fit_predict(self, index, labels, *, setting, held_out=None) -> np.ndarray:
        """Fit on `train[index]`; return class probabilities of `train[held_out]` or the test set.

        Args:
            index: positions of the labelled training images, `[k]`.
            labels: their classes, `[k]`.
            setting: one of `settings`.
            held_out: positions in the training images; by default the test images are predicted.

        Returns:
            `[number predicted, num_classes]`, 0 for classes without a label.
        """
        probe = LinearProbe(**setting).fit(self._train[index], labels, scale_by=self._train)
        features = self._test if held_out is None else self._train[held_out]
        probabilities = np.zeros((len(features), self._num_classes))
        probabilities[:, probe.classes] = probe.predict_proba(features)
        return probabilities
