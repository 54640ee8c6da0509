"""InfoNCE on score matrices."""

from typing import NamedTuple

from keras import ops

# Stands in for minus infinity: exp(MASKED - max) is exactly 0 in float32, and differences of two
# masked scores stay finite, so no NaN appears in gradients.
MASKED = -1e9


class Contrast(NamedTuple):
    """What `info_nce` says of every prediction; all float32."""

    loss: object
    correct: object
    log_num_candidates: object


def info_nce(logits, positives, *, excluded=None, rounding=0.0) -> Contrast:
    """Cross-entropy of telling the true candidate from the others, for each prediction.

    The loss of prediction i is `logsumexp_j(s_ij) - s_i,positive(i)`, in nats (van den Oord et al.
    2018, arXiv:1807.03748, equation 4). It is computed from logits in float32: `log(softmax + e)`
    would cap the loss and lose its gradient.

    Args:
        logits: scores s, `[..., candidates]`, any float dtype.
        positives: integers, shape that broadcasts to `[...]`: index of each true candidate.
        excluded: boolean, shape that broadcasts to that of `logits`: candidates that a prediction
            is not scored against. It must not exclude a positive.
        rounding: by how much equal logits may differ, number or shape that broadcasts to `[...]`:
            what comes that close to the true candidate ties with it.

    Returns:
        `Contrast` of `[...]` float32 tensors: `loss`; `correct`, 1 where the true candidate scores
        higher than each other (a tie is wrong); `log_num_candidates`, ln N with N the number of
        candidates that were scored, the positive included.

    Example:
        >>> contrast = info_nce(10.0 * np.eye(4), np.arange(4))
        >>> np.asarray(contrast.correct)
        array([1., 1., 1., 1.], dtype=float32)
    """
    logits = ops.cast(logits, "float32")
    shape = ops.shape(logits)
    num_candidates = ops.cast(shape[-1], "float32")
    if excluded is not None:
        excluded = ops.broadcast_to(excluded, shape)
        logits = ops.where(excluded, MASKED, logits)
        # Not `-=`: PyTorch would write many numbers into the place of one.
        num_candidates = num_candidates - ops.sum(ops.cast(excluded, "float32"), axis=-1)
    positives = ops.broadcast_to(ops.cast(positives, "int32"), shape[:-1])
    positive_logits = ops.take_along_axis(logits, positives[..., None], axis=-1)
    # The positive is taken off first: of two large, nearly equal numbers little would be left.
    loss = ops.logsumexp(logits - positive_logits, axis=-1)
    bar = positive_logits - ops.cast(rounding, "float32")[..., None]
    num_at_least = ops.sum(ops.cast(logits >= bar, "float32"), axis=-1)
    return Contrast(
        loss=loss,
        correct=ops.cast(ops.equal(num_at_least, 1.0), "float32"),
        log_num_candidates=ops.broadcast_to(ops.log(num_candidates), shape[:-1]),
    )
