"""What unlabelled images add to a classifier's loss."""

from collections.abc import Callable

import keras

ROWS = ("unlabeled", "all")


class UnlabeledTerm(keras.layers.Layer):
    """A term of a semi-supervised loss, one number an image: base of the others here.

    A layer, not a loss, so that a model's file holds what it counts, and its random draws are the
    run's. Subclasses write `call`.

    Args:
        weight: factor of the term in the loss, 0 or more.
        rows: images of a batch it is the mean over: "unlabeled" or "all".
        name: under which the term is logged, without the weight.

    Call arguments:
        logits: of the (augmented) images, float32 `[batch, classes]`.
        images: these images, `[batch, height, width, channels]`, pixels in [0, 255].
        classify: function from images to logits, in which nothing is drawn at random.
        training: whether this is a step of training.

    Returns:
        The term of every image, float32 `[batch]`.

    Raises:
        ValueError: a negative weight, unknown rows.
    """

    def __init__(self, weight: float = 1.0, *, rows: str = "all", name: str | None = None):
        # In float32 under mixed precision too.
        super().__init__(name=name, dtype="float32")
        if not weight >= 0:
            raise ValueError(f"{name}: the weight must be 0 or more. Received: {weight!r}.")
        if rows not in ROWS:
            raise ValueError(f"{name}: rows must be one of {ROWS}. Received: {rows!r}.")
        self.weight, self.rows = float(weight), rows
        self.built = True

    def call(self, logits, *, images=None, classify: Callable | None = None, training=False):
        """Return the term of every image."""
        raise NotImplementedError

    def weight_now(self):
        """Return the factor of the term in this step: a number, or a scalar tensor."""
        return self.weight

    def num_passes(self) -> float:
        """Return what it computes beyond the logits, in forward passes of an image."""
        return 0.0

    def get_config(self):
        """Return the constructor's arguments."""
        return {"weight": self.weight, "rows": self.rows, "name": self.name}
