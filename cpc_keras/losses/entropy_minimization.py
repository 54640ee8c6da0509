"""Sure predictions for unlabelled images."""

import keras
from keras import ops

from cpc_keras.losses.unlabeled_term import UnlabeledTerm


@keras.saving.register_keras_serializable("cpc_keras")
class EntropyMinimization(UnlabeledTerm):
    """The entropy of the predicted classes, `H(p(y | x))` (Grandvalet and Bengio 2004).

    It moves the boundary between classes to where there are few images. Alone it may as well be
    satisfied by boundaries that wind around single images; beside `VirtualAdversarial` it is the
    "VAT + EntMin" of Miyato et al. (2018, arXiv:1704.03976, equation 15), who take the mean over
    labelled and unlabelled images.

    Args:
        weight: factor of the term in the loss.
        rows: "all" (the paper) or "unlabeled".
        name: under which the term is logged.

    Call arguments:
        logits: `[batch, classes]`.

    Returns:
        float32 `[batch]`, in nats.

    Example:
        >>> np.asarray(EntropyMinimization()(np.zeros((2, 4), "float32"))).round(3)  # ln 4
        array([1.386, 1.386], dtype=float32)
    """

    def __init__(self, weight: float = 1.0, *, rows: str = "all", name: str = "entropy"):
        super().__init__(weight, rows=rows, name=name)

    def call(self, logits, *, images=None, classify=None, training=False):
        """Return the entropies."""
        log_p = ops.log_softmax(logits)
        return -ops.sum(ops.exp(log_p) * log_p, axis=-1)
