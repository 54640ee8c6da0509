"""The encoders of a run, kept for a curve over its steps."""

import os
import pathlib

import keras

from cpc_keras.training.stop_at_nan import broken_weights


class SaveEncoders(keras.callbacks.Callback):
    """Keeps the encoder every few epochs, for `evaluation.iteration_curve`.

    Checkpoints are there to go on from, and the newest do; these are the encoders alone, without
    heads and optimizer, and all of them stay: `epoch-0010-step-00000620.keras` and so on, from the
    untrained encoder to that of the last epoch. Where the optimizer averages the weights, the
    averages are kept, as they are what a run ends with. A file is whole or not there, a resumed run
    writes those that are missing, and weights that are not finite are not kept.

    Args:
        directory: of the files, such as `runs/NAME/encoders`; made if it is not there.
        every: epochs from one to the next, at least 1.

    Raises:
        ValueError: `every` below 1, or a model without `encoder`.

    Example:
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> _ = model.fit(images, epochs=3, verbose=0, callbacks=[SaveEncoders("kept", every=2)])
        >>> import pathlib
        >>> [path.name for path in sorted(pathlib.Path("kept").iterdir())]
        ['epoch-0000-step-00000000.keras', 'epoch-0002-step-00000002.keras',
         'epoch-0003-step-00000003.keras']
    """

    def __init__(self, directory: str | os.PathLike, *, every: int = 1):
        super().__init__()
        if int(every) != every or every < 1:
            raise ValueError(
                f"SaveEncoders: every must be a whole number of epochs, at least 1. Received: "
                f"{every!r}."
            )
        self._directory, self._every, self._epoch = pathlib.Path(directory), int(every), None

    def on_train_begin(self, logs=None):
        """Keep the untrained encoder."""
        if not isinstance(getattr(self.model, "encoder", None), keras.Model):
            raise ValueError(
                f"SaveEncoders: {type(self.model).__name__} has no encoder. Expected a model of "
                "this package, or one with a keras.Model as its `encoder`."
            )
        if not self._step():
            self._save(0)

    def on_epoch_end(self, epoch, logs=None):
        """Keep the encoder if it is its turn."""
        self._epoch = epoch + 1
        if self._epoch % self._every == 0:
            self._save(self._epoch)

    def on_train_end(self, logs=None):
        """Keep the last encoder."""
        if self._epoch is not None and self._epoch % self._every:
            self._save(self._epoch)

    def _step(self):
        return int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def _save(self, epoch):
        step = self._step()
        # Over one that is there: a run that stepped back comes by again with other weights.
        path = self._directory / f"epoch-{epoch:04d}-step-{step:08d}.keras"
        if broken_weights(self.model) is not None:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        optimizer, variables = self.model.optimizer, self.model.trainable_variables
        # Of a loss that is scaled, as in mixed_float16, the average is the inner optimizer's.
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        averages = bool(getattr(optimizer, "use_ema", False)) and step > 0
        if averages:
            before = [keras.ops.convert_to_numpy(variable).copy() for variable in variables]
            optimizer.finalize_variable_values(variables)
        # Keras wants the ending .keras of the temporary name too.
        partial = path.with_name(f".partial-{path.name}")
        try:
            self.model.encoder.save(partial)
            partial.replace(path)
        finally:
            if averages:
                for variable, value in zip(variables, before, strict=True):
                    variable.assign(value)
