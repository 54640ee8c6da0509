"""The classes that the model itself holds for the likeliest, as if they were labels."""

import keras
from keras import ops

from cpc_keras.losses.unlabeled_term import UnlabeledTerm


@keras.saving.register_keras_serializable("cpc_keras")
class PseudoLabel(UnlabeledTerm):
    """Cross-entropy with the likeliest class as the label (Lee 2013).

    `Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
    Networks`, equations 14 to 16: of every unlabelled image, `-log max_y p(y | x)`, with a weight
    that waits until the classes are worth something: 0 up to step T1, then rising in a straight
    line to its full height at T2. The paper's are 3, 100 and 600; in which unit it counts t could
    not be read here, and training steps are taken.

    Args:
        weight: factor of the term in the loss from T2 on.
        ramp: `(T1, T2)` in training steps, `0 <= T1 <= T2`.
        threshold: least probability of the likeliest class for an image to count, in [0, 1);
            images below it count as 0 in the mean. The paper has none, 0; 0.95 is later practice.
        rows: "unlabeled" (the paper) or "all".
        name: under which the term is logged.

    Call arguments:
        logits: `[batch, classes]`.
        training: whether to count the step.

    Returns:
        float32 `[batch]`, in nats.

    Raises:
        ValueError: a ramp or a threshold outside these bounds.

    Example:
        >>> term = PseudoLabel(weight=3.0, ramp=(0, 4))
        >>> for _ in range(2):
        ...     loss = term(np.log([[0.2, 0.8]]).astype("float32"), training=True)
        >>> float(term.weight_now()), np.asarray(loss).round(3)  # half way, -ln 0.8
        (1.5, array([0.223], dtype=float32))
    """

    def __init__(
        self,
        weight: float = 3.0,
        *,
        ramp: tuple[int, int] = (100, 600),
        threshold: float = 0.0,
        rows: str = "unlabeled",
        name: str = "pseudo_label",
    ):
        super().__init__(weight, rows=rows, name=name)
        ramp = tuple(ramp)
        if len(ramp) != 2 or not 0 <= ramp[0] <= ramp[1]:
            raise ValueError(
                "PseudoLabel: ramp must be two numbers of steps (T1, T2), 0 <= T1 <= T2. Received: "
                f"{ramp!r}."
            )
        if not 0 <= threshold < 1:
            raise ValueError(
                f"PseudoLabel: threshold must be a probability in [0, 1). Received: {threshold!r}."
            )
        self.ramp, self.threshold = ramp, float(threshold)
        # Steps so far. Not the optimizer's: that is no part of the model's state on JAX.
        self.steps = self.add_weight(
            (),
            "zeros",
            dtype="int32",
            trainable=False,
            name="steps",
            aggregation="only_first_replica",
        )

    def call(self, logits, *, images=None, classify=None, training=False):
        """Return the cross-entropies with the likeliest class."""
        if training:
            self.steps.assign_add(1)
        log_p = ops.max(ops.log_softmax(logits), axis=-1)
        if not self.threshold:
            return -log_p
        return ops.where(log_p >= ops.log(self.threshold), -log_p, 0.0)

    def weight_now(self):
        """Return the factor at the step that was counted last."""
        first, last = self.ramp
        steps = ops.cast(self.steps, "float32")
        risen = ops.clip((steps - first) / max(last - first, 1), 0.0, 1.0)
        # T1 = T2 is a jump.
        risen = ops.where(steps >= last, 1.0, risen)
        return self.weight * risen

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "ramp": list(self.ramp), "threshold": self.threshold}
