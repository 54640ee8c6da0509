"""What every callback has in common that measures images between epochs."""

import keras
import numpy as np


class HeldOutProbe(keras.callbacks.Callback):
    """Measures the encoder on images of its own after an epoch, and logs what it finds.

    Base of `KNNProbe`, `LinearProbe`, `CollapseMonitor` and `MutualInformation`; write `measure` to
    add one. What it returns joins the `logs` of the epoch, so that every callback that stands
    behind it in the list (`CSVLogger`, `TensorBoard`, `EarlyStopping`, ...) and the `History` of
    `fit` have it. Nothing of the training changes: the encoder is called as at inference, and
    random generators are left as they were.

    Args:
        images: `[n, height, width, channels]`, in [0, 255].
        every: epochs from one measurement to the next, at least 1; the last epoch of `fit` is
            always measured.
        encoder: `keras.Model` from images to features; by default the `encoder` of the model that
            is trained, as the models of this package have one.
        batch_size: images at a time.

    Raises:
        ValueError: no images, `every` below 1, or a model without `encoder` where none is given.

    Example:
        >>> class Brightness(HeldOutProbe):
        ...     def measure(self):
        ...         return {"brightness": float(self.features().mean())}
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> history = model.fit(images, verbose=0, callbacks=[Brightness(images)]).history
        >>> len(history["brightness"])
        1
    """

    # Names of what is also measured before the first step: without the untrained network beside
    # it, an accuracy does not tell whether training helps.
    compared_with_untrained = ()

    def __init__(
        self,
        images: np.ndarray,
        *,
        every: int = 1,
        encoder: keras.Model | None = None,
        batch_size: int = 250,
    ):
        super().__init__()
        if int(every) != every or every < 1:
            raise ValueError(
                f"{type(self).__name__}: every must be a whole number of epochs, at least 1. "
                f"Received: {every!r}."
            )
        if not len(images):
            raise ValueError(f"{type(self).__name__} needs images to measure. Received none.")
        self._images, self._every, self._batch_size = images, int(every), batch_size
        self._given_encoder = encoder
        self._untrained: dict[str, float] = {}

    @property
    def encoder(self) -> keras.Model:
        """The encoder that is measured."""
        encoder = self._given_encoder or getattr(self.model, "encoder", None)
        if encoder is None:
            raise ValueError(
                f"{type(self).__name__}: {type(self.model).__name__} has no attribute `encoder`. "
                "Pass encoder=, a model from images to features that shares its layers."
            )
        return encoder

    def features(self) -> np.ndarray:
        """Return the features of the images, float32 `[n, d]`.

        Raises:
            FloatingPointError: features that are not finite.
        """
        encoder, found = self.encoder, []
        # Called, not `predict`ed: under a strategy of several workers that would cut the images up
        # among them.
        for start in range(0, len(self._images), self._batch_size):
            batch = np.asarray(self._images[start : start + self._batch_size], "float32")
            batch = keras.ops.convert_to_numpy(encoder(batch, training=False))
            found.append(batch.reshape(len(batch), -1).astype("float32"))
        features = np.concatenate(found)
        if not np.isfinite(features).all():
            broken = int((~np.isfinite(features)).any(axis=1).sum())
            raise FloatingPointError(
                f"{type(self).__name__}: the encoder gave NaN or infinite features for {broken} of "
                f"{len(features)} images. Expected finite numbers: training has diverged; try a "
                "lower learning rate."
            )
        return features

    def measure(self) -> dict[str, float]:
        """Return what is logged, by name."""
        raise NotImplementedError

    def restore(self, rows: list[dict]) -> None:
        """Take up what earlier epochs of a resumed run have logged.

        Args:
            rows: the logs of each finished epoch, as `read_metrics` gives them.
        """
        for row in rows:
            for name in self.compared_with_untrained:
                if f"{name}_untrained" in row:
                    self._untrained[f"{name}_untrained"] = row[f"{name}_untrained"]

    def state_dict(self) -> dict:
        """Return what was measured of the untrained encoder: a run may stop before it is logged."""
        return {"untrained": dict(self._untrained)}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned."""
        self._untrained = dict(state["untrained"])

    def on_epoch_begin(self, epoch, logs=None):
        """Measure the untrained encoder, before the first step of all."""
        if self._untrained or not self.compared_with_untrained:
            return
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is None or not keras.ops.convert_to_numpy(optimizer.iterations):
            found = self.measure()
            self._untrained = {f"{n}_untrained": found[n] for n in self.compared_with_untrained}

    def on_epoch_end(self, epoch, logs=None):
        """Measure, where it is time, and add what was found to the logs."""
        last = epoch + 1 == (self.params or {}).get("epochs")
        if logs is None or ((epoch + 1) % self._every and not last):
            return
        logs.update(self.measure())
        logs.update(self._untrained)
