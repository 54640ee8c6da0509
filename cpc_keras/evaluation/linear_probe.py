"""A linear classifier on frozen features."""

import numpy as np


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

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 20)
        >>> features = rng.normal(size=(40, 5)) + labels[:, None]
        >>> probe = LinearProbe(1.0).fit(features, labels)
        >>> probe.predict_proba(features).shape
        (40, 2)
    """

    def __init__(self, regularization: float = 1.0):
        if not regularization > 0:
            raise ValueError(f"regularization must be above 0. Received: {regularization!r}.")
        self.regularization = regularization

    def fit(self, features: np.ndarray, labels: np.ndarray, *, scale_by: np.ndarray | None = None):
        """Fit on `features [n, d]` and `labels [n]`.

        Args:
            features: labelled features, `[n, d]`.
            labels: integers, `[n]`, at least two classes.
            scale_by: features whose mean and standard deviations scale, `[m, d]`, for example those
                of all unlabelled images; by default the labelled ones.

        Returns:
            The probe itself.
        """
        # scikit-learn takes a second to import; only probes need it.
        from sklearn.linear_model import LogisticRegression

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
        self._classifier = LogisticRegression(C=1 / self.regularization, max_iter=1000)
        self._classifier.fit(scaled, labels)
        self.classes = self._classifier.classes_
        return self

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the probe as a linear layer on the features as they are.

        Returns:
            `kernel` float32 `[d, len(self.classes)]` and `bias` float32 `[len(self.classes)]`: the
            softmax of `features @ kernel + bias` is `predict_proba`.
        """
        kernel, bias = self._classifier.coef_.T, self._classifier.intercept_
        if len(self.classes) == 2:
            # scikit-learn holds one score for two classes.
            kernel, bias = (np.concatenate([-w, w], axis=-1) / 2 for w in (kernel, bias))
        if self._basis is not None:
            kernel = self._basis @ kernel
        kernel = kernel / self._scale[:, None]
        return kernel.astype("float32"), (bias - self._mean @ kernel).astype("float32")

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return class probabilities `[n, len(self.classes)]`."""
        scaled = (features - self._mean) / self._scale
        if self._basis is not None:
            scaled = scaled @ self._basis
        return self._classifier.predict_proba(scaled)
