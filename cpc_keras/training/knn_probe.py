"""Accuracy of nearest neighbors, while training."""

import keras
import numpy as np

from cpc_keras.training.held_out_probe import HeldOutProbe
from cpc_keras.training.labeled_images import labeled_images


class KNNProbe(HeldOutProbe):
    r"""Logs `knn_accuracy`: how well each image's neighbors in feature space tell its class.

    Nothing is fitted, so it is the cheapest sign that features are getting better. Each image is
    classified by all others (leave one out): the `num_neighbors` with the highest cosine
    similarity s vote for their classes with weights :math:`\exp(s / \text{temperature})`. The
    weighted vote is that of Wu et al. 2018 (arXiv:1805.01978, section 3.4), who take 200 neighbors
    among a million images; with some hundred images, 20 are as small a share of a class.

    Beside it stands `knn_accuracy_untrained`, that of the network before its first step, where the
    callback was there.

    Args:
        images: `[n, height, width, channels]`, in [0, 255].
        labels: their classes, integers `[n]`; images with labels below 0 are left out.
        groups: names `[n]` of what belongs together, such as patients: images of an image's own
            group do not vote. None where there are none.
        num_neighbors: that vote; at most all others do.
        temperature: above 0.
        every: epochs from one measurement to the next.
        encoder: by default the model's own.
        batch_size: images at a time.

    Raises:
        ValueError: labels or groups that do not fit the images, or of which there is only one.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> probe = KNNProbe(images, np.array([0, 1] * 4), num_neighbors=3)
        >>> history = model.fit(images, verbose=0, callbacks=[probe]).history
        >>> 0 <= history["knn_accuracy"][-1] <= 1
        True
    """

    compared_with_untrained = ("knn_accuracy",)

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        num_neighbors: int = 20,
        temperature: float = 0.07,
        every: int = 1,
        encoder: keras.Model | None = None,
        batch_size: int = 250,
    ):
        images, self._labels, self._groups = labeled_images(
            images, labels, groups, asked_by="KNNProbe"
        )
        super().__init__(images, every=every, encoder=encoder, batch_size=batch_size)
        if num_neighbors < 1 or not temperature > 0:
            raise ValueError(
                "KNNProbe needs num_neighbors >= 1 and temperature > 0. Received: "
                f"{num_neighbors!r} and {temperature!r}."
            )
        self._num_neighbors, self._temperature = num_neighbors, temperature

    def measure(self) -> dict[str, float]:
        """Return `knn_accuracy`, in [0, 1]."""
        features = self.features()
        length = np.linalg.norm(features, axis=1, keepdims=True)
        unit = features / np.maximum(length, 1e-12)
        similarity = unit @ unit.T
        if self._groups is None:
            np.fill_diagonal(similarity, -np.inf)
        else:
            similarity[self._groups[:, None] == self._groups] = -np.inf
        count = min(self._num_neighbors, len(unit) - 1)
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        weights = np.take_along_axis(similarity, nearest, axis=1).astype("float64")
        # A common factor changes no vote, and keeps small temperatures from overflowing.
        weights = np.exp((weights - weights.max(axis=1, keepdims=True)) / self._temperature)
        classes, labels = np.unique(self._labels, return_inverse=True)
        votes = np.zeros((len(unit), len(classes)))
        np.add.at(votes, (np.arange(len(unit))[:, None], labels[nearest]), weights)
        return {"knn_accuracy": float((votes.argmax(axis=1) == labels).mean())}
