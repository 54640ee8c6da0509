"""Layer-wise adaptive rates for large batches."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cpc_keras")
class LARS(keras.optimizers.Optimizer):
    """Momentum whose rate, in each weight, is scaled to the size of that weight.

    With gradient g and weight w (You, Gitman, Ginsburg 2017, arXiv:1708.03888, algorithm 1):

        trust = coefficient * |w| / (|g| + weight_decay * |w|)
        velocity = momentum * velocity + learning_rate * trust * (g + weight_decay * w)
        w = w - velocity

    Biases, gains and other vectors are neither adapted nor decayed (trust 1), as in SimCLR (Chen et
    al. 2020, arXiv:2002.05709, section 2.1), whose rate is 0.3 times the batch size over 256. Where
    w or g is 0 the trust is 1.

    Args:
        learning_rate: number or schedule.
        momentum: share of the velocity that is kept, in [0, 1).
        trust_coefficient: the coefficient above.
        weight_decay: of matrices and kernels; it takes part in the trust and in the velocity.
        name: name of the optimizer.
        **kwargs: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> optimizer = LARS(0.3 * 512 / 256, weight_decay=1e-6)
        >>> optimizer.get_config()["trust_coefficient"]
        0.001
    """

    def __init__(
        self,
        learning_rate=1.0,
        *,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float = 0.0,
        name: str = "lars",
        **kwargs,
    ):
        # Not the base class's weight decay, which is taken off beside the velocity.
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1 or not trust_coefficient > 0 or weight_decay < 0:
            raise ValueError(
                "LARS needs 0 <= momentum < 1, trust_coefficient > 0 and weight_decay >= 0. "
                f"Received: momentum={momentum!r}, trust_coefficient={trust_coefficient!r}, "
                f"weight_decay={weight_decay!r}."
            )
        self.momentum = momentum
        self.trust_coefficient = trust_coefficient
        self.decay = weight_decay

    def build(self, variables):
        """Make the velocities."""
        if self.built:
            return
        super().build(variables)
        self._velocities = [
            self.add_variable_from_reference(reference_variable=v, name="velocity")
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        """Update one weight."""
        velocity = self._velocities[self._get_variable_index(variable)]
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        if len(variable.shape) > 1:
            size, slope = (
                ops.norm(ops.reshape(variable, (-1,))),
                ops.norm(ops.reshape(gradient, (-1,))),
            )
            trust = self.trust_coefficient * size / (slope + self.decay * size + 1e-30)
            rate = rate * ops.where(ops.logical_and(size > 0, slope > 0), trust, 1.0)
            gradient = gradient + self.decay * variable
        self.assign(velocity, self.momentum * velocity + rate * gradient)
        self.assign_sub(variable, velocity)

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "trust_coefficient": self.trust_coefficient,
            "weight_decay": self.decay,
        }
