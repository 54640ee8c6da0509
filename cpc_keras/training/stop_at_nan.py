"""Training ends where the loss is no longer a number, or explodes."""

import os

import keras
import numpy as np

from cpc_keras.training.checkpoints import newest_checkpoint


class StopAtNaN(keras.callbacks.Callback):
    """Ends training with an error at the first step whose loss is NaN, infinite or exploding.

    Unlike `keras.callbacks.TerminateOnNaN`, which ends `fit` as if all were well, it raises, and
    says at which step, in which directions and offsets of a `CPCModel`, at which learning rate, and
    what the last good checkpoint is.

    Args:
        explosion: a step's loss explodes where it is more than so many times the first step's, that
            of an untrained model (and more than so many nats); `None` looks for NaN alone.
        checkpoints: directory of the run's checkpoints, to name the last one.

    Raises:
        FloatingPointError: the loss of a step is not finite, or explodes.
        ValueError: an `explosion` that is not above 1.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> _ = model.fit(images, verbose=0, callbacks=[StopAtNaN()])
    """

    def __init__(
        self, explosion: float | None = 10.0, *, checkpoints: str | os.PathLike | None = None
    ):
        super().__init__()
        if explosion is not None and not explosion > 1:
            raise ValueError(
                f"explosion must be above 1, or None. Received: {explosion!r}. Ten times the first "
                "step's loss, the default, is far more than a step's chance."
            )
        self.explosion = explosion
        self._checkpoints = checkpoints
        self._epoch = 0
        # The loss of the run's first step; the mean over the epoch's steps, and their number.
        self._first, self._mean, self._steps = None, 0.0, 0
        self._restored = False

    def state_dict(self) -> dict:
        """Return what is to be known when training goes on after the step that was last."""
        return {"first": self._first, "mean": self._mean, "steps": self._steps}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` returned."""
        self._first, self._mean, self._steps = state["first"], state["mean"], state["steps"]
        self._restored = True

    def on_epoch_begin(self, epoch, logs=None):
        """Remember the epoch, whose mean begins anew."""
        self._epoch = epoch
        if not self._restored:
            self._mean, self._steps = 0.0, 0
        self._restored = False

    def on_epoch_end(self, epoch, logs=None):
        """Forget the epoch's mean."""
        self._mean, self._steps = 0.0, 0

    def on_train_batch_end(self, batch, logs=None):
        """Look at the step's loss."""
        # The mean of the epoch so far: once it is NaN, so it stays.
        mean = float((logs or {}).get("loss", 0.0))
        if not np.isfinite(mean):
            raise FloatingPointError(
                self._message(f"The loss is {mean}") + " Expected a finite number. Check that the "
                "images are finite and in [0, 255], or try a lower learning rate or "
                "global_clipnorm in the optimizer."
            )
        loss = mean + self._steps * (mean - self._mean)
        self._first = loss if self._first is None else self._first
        limit = (self.explosion or np.inf) * max(abs(self._first), 1.0)
        if loss > limit:
            raise FloatingPointError(
                self._message(f"The loss explodes: it is {loss:.4g}")
                + f" Expected at most {limit:.4g}, {self.explosion:g} times the first step's. Try "
                "a lower learning rate, more warm-up or global_clipnorm in the optimizer."
            )
        self._mean, self._steps = mean, self._steps + 1

    def _message(self, what):
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()  # JAX's trainer keeps the variables elsewhere meanwhile
        text = f"{what} at step {self._steps + 1} of epoch {self._epoch + 1}"
        terms = getattr(self.model, "terms", ())
        if terms:
            losses = keras.ops.convert_to_numpy(self.model.term_losses)
            if np.all(np.isfinite(losses)):
                worst = int(np.argmax(losses))
                text += f"; the largest term is {terms[worst]} ({losses[worst]:.4g})"
            else:
                broken = [t for t, v in zip(terms, losses, strict=True) if not np.isfinite(v)]
                text += f", in the term(s) {', '.join(broken)}"
        rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        text += f"; the learning rate is {rate:.3g}."
        if self._checkpoints is not None:
            found = newest_checkpoint(self._checkpoints)
            good = "none" if found is None else f"{found.path}, after {found.place}"
            text += f" Last good checkpoint: {good}."
        return text


def broken_weights(model: keras.Model) -> str | None:
    """Return the path of the first trainable weights that are not finite; `None` if all are."""
    for variable in model.trainable_variables:
        if not np.all(np.isfinite(keras.ops.convert_to_numpy(variable.value))):
            return variable.path
    return None
