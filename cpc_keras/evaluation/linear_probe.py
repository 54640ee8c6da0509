"""A linear classifier on frozen features."""

from collections.abc import Sequence

import keras
import numpy as np

from cpc_keras.data import hold_out
from cpc_keras.evaluation.classification_metrics import classification_metrics
from cpc_keras.evaluation.extract_features import extract_features
from cpc_keras.evaluation.known_labels import known_labels
from cpc_keras.evaluation.sgd_probe import SGDProbe

# The trials of each solver.
TRIALS = {
    "lbfgs": ({"regularization": 1.0}, {"regularization": 30.0}),
    "sgd": ({"learning_rate": 0.1}, {"learning_rate": 0.01}),
}


def checked_class_weight(class_weight: str | None) -> str | None:
    """Return a `class_weight` that is one: "balanced" or `None`."""
    if class_weight not in (None, "balanced"):
        raise ValueError(f'class_weight must be "balanced" or None. Received: {class_weight!r}.')
    return class_weight


class LinearProbe:
    """Multinomial logistic regression on scaled features.

    Features are centred and divided by their standard deviation, or by the root mean square of all
    their deviations where that is larger.

    The closed form of "how much does a linear classifier find in these features": convex, solved to
    convergence by scikit-learn's L-BFGS.

    With far fewer examples than features the problem is solved in the span of the examples, which
    changes nothing (the L2-regularised solution lies in it) and saves most of the time.

    Args:
        regularization: weight of the L2 penalty relative to the mean cross-entropy's sum, the
            inverse of scikit-learn's `C`; above 0.
        class_weight: "balanced" counts each class as much as every other, however many examples it
            has; of several classes an image, its presence as much as its absence.

    Raises:
        ValueError: a `regularization` that is not above 0, or another `class_weight`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> features = rng.normal(size=(40, 5)) + labels[:, None]
        >>> probe = LinearProbe(1.0).fit(features, labels)
        >>> probe.predict_proba(features).shape
        (40, 2)
    """

    def __init__(self, regularization: float = 1.0, *, class_weight: str | None = None):
        if not regularization > 0:
            raise ValueError(f"regularization must be above 0. Received: {regularization!r}.")
        self.regularization = regularization
        self.class_weight = checked_class_weight(class_weight)

    def fit(self, features: np.ndarray, labels: np.ndarray, *, scale_by: np.ndarray | None = None):
        """Fit on `features [n, d]` and `labels [n]`.

        Args:
            features: labelled features, `[n, d]`.
            labels: integers, `[n]`, at least two classes; or 0 and 1, `[n, classes]`, where an
                image may have several: each class then has a logistic regression of its own.
            scale_by: features whose mean and standard deviations scale, `[m, d]`, for example those
                of all unlabelled images; by default the labelled ones.

        Returns:
            The probe itself.

        Raises:
            ValueError: labels of fewer than two classes.
        """
        # scikit-learn takes a second to import; only probes need it.
        from sklearn.linear_model import LogisticRegression

        labels = np.asarray(labels)
        self._several = labels.ndim == 2
        if len(np.unique(labels)) < 2:
            raise ValueError(
                f"A linear probe needs labels of at least two classes. Received {len(labels)} "
                f"labels of the class(es) {np.unique(labels).tolist()}."
            )
        scale_by = features if scale_by is None else scale_by
        self._mean = scale_by.mean(axis=0, dtype="float64").astype("float32")
        # Features that hardly ever vary (the border of digits) would be blown up by their own
        # deviation, drown the others and slow the solver down: none is scaled up beyond the rest.
        deviation = scale_by.std(axis=0, dtype="float64")
        typical = np.sqrt(np.mean(deviation**2))
        self._scale = np.maximum(deviation, typical or 1.0).astype("float32")
        scaled = (features - self._mean) / self._scale
        self._basis = None
        # With nearly as many examples as features, finding the span would cost more than it saves.
        if 2 * scaled.shape[0] < scaled.shape[1]:
            self._basis, coordinates = np.linalg.qr(scaled.T)
            scaled = coordinates.T
        classifier = LogisticRegression(
            C=1 / self.regularization, class_weight=self.class_weight, max_iter=1000
        )
        if self._several:
            self.classes = np.arange(labels.shape[1])
            fits = [_fit_one(classifier, scaled, column) for column in labels.T]
            self._kernel, self._bias = (np.stack(part, axis=-1) for part in zip(*fits, strict=True))
            return self
        classifier.fit(scaled, labels)
        self.classes = classifier.classes_
        self._kernel, self._bias = classifier.coef_.T, classifier.intercept_
        if len(self.classes) == 2:
            # scikit-learn holds one score for two classes.
            self._kernel, self._bias = (
                np.concatenate([-w, w], axis=-1) / 2 for w in (self._kernel, self._bias)
            )
        return self

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the probe as a linear layer on the features as they are.

        Returns:
            `kernel` float32 `[d, len(self.classes)]` and `bias` float32 `[len(self.classes)]`: the
            softmax of `features @ kernel + bias` is `predict_proba`; of several classes an image
            the sigmoid.
        """
        kernel, bias = self._kernel, self._bias
        if self._basis is not None:
            kernel = self._basis @ kernel
        kernel = kernel / self._scale[:, None]
        return kernel.astype("float32"), (bias - self._mean @ kernel).astype("float32")

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities `[n, len(self.classes)]`."""
        scaled = (features - self._mean) / self._scale
        if self._basis is not None:
            scaled = scaled @ self._basis
        # scipy comes with scikit-learn, and imports as late.
        from scipy.special import expit, softmax

        scores = scaled @ self._kernel + self._bias
        return expit(scores) if self._several else softmax(scores, axis=1)


def linear_probe(
    encoder: keras.Model | None,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    solver: str = "lbfgs",
    trials: Sequence[dict] | None = None,
    groups: np.ndarray | None = None,
    num_classes: int | None = None,
    batch_size: int = 250,
    test_groups: np.ndarray | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """Measure features by the linear classifier that labels find on them.

    The usual number of a self-supervised encoder: it stays as it is, and a linear layer is fitted.
    Trials are told apart on a quarter of the training labels, held out; with the best the probe is
    fitted on all of them, and scored once on the test images.

    Args:
        encoder: any `keras.Model` from images to features; None where features are given.
        train: `(images, labels)`: `[n, height, width, channels]` in the range that the encoder
            expects (or features `[n, d]`), and integer classes `[n]` or 0 and 1 `[n, classes]`.
        test: `(images, labels)` to measure on.
        solver: "lbfgs" (`LinearProbe`: convex, by scikit-learn to the optimum) or "sgd"
            (`SGDProbe`: the papers' form).
        trials: dicts of arguments of the probe to choose from; by default two penalties, or two
            learning rates. One is taken unseen.
        groups: what the held-out quarter must not divide, `[n]`, such as patients.
        num_classes: number of classes; by default one more than the highest class in `train` and
            `test`.
        batch_size: images at a time.
        test_groups: groups of the test images, `[m]`, for the intervals.
        num_resamples: of the bootstrap; see `classification_metrics`.
        seed: of the held-out quarter, and of the steps of "sgd".

    Returns:
        The dict of `classification_metrics`, with `protocol`, `solver`, `num_labels`, `setting`
        (the chosen trial) and `held_out`, its accuracy (of several classes its mean AUROC) on the
        held-out quarter, or None.

    Raises:
        ValueError: an unknown solver, no trial, labels of one class or below 0 (none), or features
            that are not finite.

    Example:
        >>> encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
        >>> data = np.random.default_rng(0).integers(0, 99, (40, 8, 8, 1)), np.arange(40) % 2
        >>> data[0][data[1] == 1] += 100
        >>> linear_probe(encoder, data, data)["top_1"]
        1.0
    """
    if solver not in TRIALS:
        raise ValueError(f"solver must be one of {tuple(TRIALS)}. Received: {solver!r}.")
    trials = TRIALS[solver] if trials is None else tuple(trials)
    if not trials:
        raise ValueError("Expected at least one trial. Leave `trials` out for the usual ones.")
    labels, truth = (known_labels(y, asked_by="linear_probe") for y in (train[1], test[1]))
    features, queries = (
        np.asarray(images, "float32").reshape(len(images), -1)
        if encoder is None
        else extract_features(encoder, images, batch_size=batch_size)
        for images in (train[0], test[0])
    )
    highest = labels.shape[1] - 1 if labels.ndim == 2 else int(max(labels.max(), truth.max()))
    classes = max(num_classes or highest + 1, 2)

    def scores_of(setting, index, wanted):
        kind = {"lbfgs": LinearProbe, "sgd": SGDProbe}[solver]
        extra = {"seed": seed} if solver == "sgd" else {}
        # All features scale, labelled or not: they are there either way.
        probe = kind(**extra, **setting).fit(features[index], labels[index], scale_by=features)
        scores = np.zeros((len(wanted), classes))
        scores[:, probe.classes] = probe.predict_proba(wanted)
        return scores

    setting, found = trials[0], None
    if len(trials) > 1:
        plain = labels if labels.ndim == 1 else np.zeros(len(labels), np.int64)
        fit, held_out = hold_out(plain, seed=seed, groups=groups)
        if len(held_out) and len(np.unique(labels[fit])) > 1:
            goods = [
                _goodness(scores_of(trial, fit, features[held_out]), labels[held_out])
                for trial in trials
            ]
            best = max(range(len(trials)), key=lambda i: goods[i])
            setting, found = trials[best], goods[best][0]
    scores = scores_of(setting, np.arange(len(labels)), queries)
    return {
        "protocol": "linear_probe",
        "solver": solver,
        "num_labels": len(labels),
        "setting": dict(setting),
        "held_out": found,
        **classification_metrics(scores, truth, groups=test_groups, num_resamples=num_resamples),
    }


def _goodness(scores, labels):
    """What trials are told apart by: the score, and of equals the lower cross-entropy."""
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    if labels.ndim == 2:
        chances = np.where(labels == 1, clipped, 1 - clipped)
        area = classification_metrics(scores, labels, num_resamples=0)["auroc"]
        return (0.0 if area is None else area), float(np.log(chances).mean())
    own = clipped[np.arange(len(labels)), labels]
    return float((scores.argmax(axis=1) == labels).mean()), float(np.log(own).mean())


def _fit_one(classifier, features, labels):
    """Weights of one class against the rest; where there is no other, what makes it as likely."""
    if len(np.unique(labels)) < 2:
        share = (labels.sum() + 1) / (len(labels) + 2)  # Laplace's rule of succession
        return np.zeros(features.shape[1]), np.log(share / (1 - share))
    classifier.fit(features, labels)
    return classifier.coef_[0].copy(), classifier.intercept_[0]
