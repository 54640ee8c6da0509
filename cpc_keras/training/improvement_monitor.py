"""Says in one line when features have stopped improving."""

import keras

from cpc_keras.evaluation import feature_verdict


class ImprovementMonitor(keras.callbacks.Callback):
    """Prints one line when a probe's metric stops improving, and one at the end.

    For example "kNN accuracy has not improved since epoch 12 (71.3 %, before training 41.0 %): more
    epochs like these are unlikely to help." Nothing is stopped; `keras.callbacks.EarlyStopping` on
    the same metric does that. Where the metric improves again, a later standstill is told anew.

    Stand it behind the probe in the list of callbacks.

    Args:
        monitor: the metric, higher is better; that of `KNNProbe` by default.
        patience: measurements in a row without a new best, at least 1.

    Raises:
        ValueError: `patience` below 1.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> callbacks = [KNNProbe(images, np.array([0, 1] * 4)), ImprovementMonitor()]
        >>> _ = model.fit(images, verbose=0, callbacks=callbacks)
        kNN accuracy ...
    """

    def __init__(self, monitor: str = "knn_accuracy", *, patience: int = 5):
        super().__init__()
        if patience < 1:
            raise ValueError(f"patience must be at least 1 measurement. Received: {patience!r}.")
        self._monitor, self._patience = monitor, patience
        self._rows: list[dict] = []
        self._told = None

    def restore(self, rows: list[dict]) -> None:
        """Take up what earlier epochs of a resumed run have logged; what was told is not repeated.

        Args:
            rows: the logs of each finished epoch, as `read_metrics` gives them.
        """
        self._rows = list(rows)
        self._told = self._verdict(finished=False)

    def on_epoch_end(self, epoch, logs=None):
        """Look at the epoch's measurement, where there was one."""
        if self._monitor not in (logs or {}):
            return
        self._rows.append({"epoch": epoch + 1, **logs})
        self._tell(self._verdict(finished=False))

    def on_train_end(self, logs=None):
        """Say how it ended."""
        self._tell(self._verdict(finished=True))

    def _verdict(self, finished):
        return feature_verdict(
            self._rows, monitor=self._monitor, patience=self._patience, finished=finished
        )

    def _tell(self, line):
        if line == self._told:
            return
        self._told = line
        if line is not None:
            from tqdm import tqdm

            tqdm.write(line)  # above a progress bar, where there is one
