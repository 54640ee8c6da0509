"""A row of the comparison: a linear probe on fixed features."""

from collections.abc import Callable

import keras
import numpy as np

from cpc_keras.evaluation.linear_probe import LinearProbe

# Two trials, as many as the networks get. Features that forgive what the augmentation does gain
# from copies; raw pixels may lose by them.
SETTINGS = (
    {"max_copies": 16, "regularization": 1.0},
    {"max_copies": 16, "regularization": 30.0},
)
RAW_PIXEL_SETTINGS = (
    {"max_copies": 0, "regularization": 30.0},
    {"max_copies": 16, "regularization": 300.0},
)

# Labelled images and copies in all: few labels gain most from copies, and many would take minutes.
MAX_IMAGES = 1200


class ProbeRow:
    """Linear probe on features that are never trained on labels.

    Like the networks, it may see augmented copies of the labelled images, up to `max_copies` of
    each beside itself, as long as there are no more than 1,200 images.

    Args:
        name: name of the row.
        to_features: function from images `[k, height, width, channels]` to features `[k, d]`.
        train_images: all training images, labelled or not, `[n, height, width, channels]`, in
            [0, 255].
        test_images: `[m, height, width, channels]`.
        num_classes: number of classes.
        image_augmentation: layer applied to copies of labelled images, or `None`.
        settings: the tuning trials, each a dict of `max_copies` and `regularization` (see
            `LinearProbe`).
        class_weight: of the probe; see `LinearProbe`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> images = rng.integers(0, 99, (40, 2, 2, 1)) + 99 * labels[:, None, None, None]
        >>> row = ProbeRow("raw_pixels", lambda x: np.reshape(x, (-1, 4)), train_images=images,
        ...                test_images=images, num_classes=2)
        >>> row.fit_predict(np.arange(40), labels, setting=row.settings[0]).shape
        (40, 2)
    """

    def __init__(
        self,
        name: str,
        to_features: Callable[[np.ndarray], np.ndarray],
        *,
        train_images: np.ndarray,
        test_images: np.ndarray,
        num_classes: int,
        image_augmentation: keras.layers.Layer | None = None,
        settings=SETTINGS,
        class_weight: str | None = None,
    ):
        self.name, self._class_weight = name, class_weight
        self.settings = tuple(settings)
        self._to_features = to_features
        self._train_images = train_images
        self._train, self._test = to_features(train_images), to_features(test_images)
        self._num_classes = num_classes
        self._augmentation = image_augmentation
        # Every fit draws the same, whatever was fitted before.
        self._draws = [] if image_augmentation is None else image_augmentation.variables
        self._start = [keras.ops.convert_to_numpy(v).copy() for v in self._draws]
        self._copies = None, None  # the newest: the trials of a share want the same

    def fit(self, index, labels, *, setting) -> LinearProbe:
        """Fit a probe on `train[index]`; arguments as in `fit_predict`."""
        features, labels = self._with_augmented_copies(
            index, np.asarray(labels), setting["max_copies"]
        )
        probe = LinearProbe(setting["regularization"], class_weight=self._class_weight)
        return probe.fit(features, labels, scale_by=self._train)

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
        probe = self.fit(index, labels, setting=setting)
        features = self._test if held_out is None else self._train[held_out]
        probabilities = np.zeros((len(features), self._num_classes))
        probabilities[:, probe.classes] = probe.predict_proba(features)
        return probabilities

    def _with_augmented_copies(self, index, labels, max_copies):
        num_copies = min(max_copies, MAX_IMAGES // len(index) - 1)
        if self._augmentation is None or num_copies < 1:
            return self._train[index], labels
        asked = (num_copies, tuple(index))
        if self._copies[0] != asked:
            for variable, value in zip(self._draws, self._start, strict=True):
                variable.assign(value)
            images = np.tile(self._train_images[index], (num_copies, 1, 1, 1)).astype("float32")
            images = keras.ops.convert_to_numpy(self._augmentation(images, training=True))
            self._copies = asked, self._to_features(images)
        features = np.concatenate([self._train[index], self._copies[1]])
        return features, np.tile(labels, num_copies + 1)
