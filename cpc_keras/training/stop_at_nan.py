"""Training ends where the loss is no longer a number."""

import keras
import numpy as np


class StopAtNaN(keras.callbacks.Callback):
    """Ends training with an error at the first step whose loss is NaN or infinite.

    Unlike `keras.callbacks.TerminateOnNaN`, which ends `fit` as if all were well, it raises, and
    says at which step, in which directions and offsets of a `CPCModel`, and at which learning rate.
    Checkpoints of earlier epochs stay.

    Raises:
        FloatingPointError: the loss of a step is not finite.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> model = CPCModel((16, 16, 1), patch_encoder="mlp", offsets=(2,))
        >>> model.compile(optimizer="adam")
        >>> _ = model.fit(images, verbose=0, callbacks=[StopAtNaN()])
    """

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Look at the step's loss."""
        # The mean of the epoch so far: once it is NaN, so it stays.
        loss = (logs or {}).get("loss", 0.0)
        if np.isfinite(loss):
            return
        message = f"The loss is {loss} at step {batch + 1} of epoch {self._epoch + 1}"
        terms = getattr(self.model, "terms", ())
        if terms:
            losses = keras.ops.convert_to_numpy(self.model.term_losses)
            broken = [
                term for term, value in zip(terms, losses, strict=True) if not np.isfinite(value)
            ]
            message += f", in the term(s) {', '.join(broken) or 'none: the weights broke after it'}"
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        raise FloatingPointError(
            f"{message}; the learning rate is {rate:.3g}. Expected a finite number. Check that the "
            "images are finite and in [0, 255], or try a lower learning rate or "
            "global_clipnorm in the optimizer."
        )
