"""InfoNCE of many predictions over shared candidates, in bounded memory."""

import functools

from keras import ops

from cpc_keras.ops.info_nce import MASKED, Contrast
from cpc_keras.ops.scan import scan

# Scores at a time, about: a few matrices of 4 MB, which stay in a processor's cache (two cores,
# 26,880 predictions of 3,136 candidates: blocks of 256 to 2,240 predictions take equally long, of
# 128 a sixth longer).
BLOCK_SCORES = 2**20
BLOCK_SIZES = (32, 512)


def streamed_info_nce(
    predictions,
    candidates,
    positives,
    weights,
    *,
    scale: float = 1.0,
    group_size: int | None = None,
    sample=None,
    with_gradient: bool = True,
):
    """Weighted sum of the cross-entropies of telling each true candidate from all others.

    The result of `ops.info_nce` on the whole matrix of scores, `scale * predictions @ candidates.T`
    (van den Oord et al. 2018, arXiv:1807.03748, equation 4), and its gradients, computed block by
    block: the matrix, which has a column for each candidate and a row for each prediction of each
    direction and offset, is never there as a whole. Memory beyond arguments and gradients does not
    grow with the number of predictions, nor, up to 65,536, with that of the candidates.

    The gradients are found in the same pass. They are those of the weighted sum, so it alone can be
    differentiated.

    Args:
        predictions: float32 `[n, d]`.
        candidates: float32 `[m, d]`, shared by all predictions.
        positives: integers `[n]`: index of each prediction's true candidate.
        weights: float32 `[n]`, of each cross-entropy in the sum; not all zero. Not differentiated.
        scale: factor on the scores.
        group_size: score against the candidates of other groups and the positive alone; candidates
            `[i * group_size, (i + 1) * group_size)` are a group (an image's patches).
        sample: integers `[k]`, none twice: score against these candidates and the positive alone.
            Not with `group_size`.
        with_gradient: whether the sum will be differentiated; without, half of the work is saved.

    Returns:
        The weighted sum, a float32 scalar in nats, and a `Contrast` of `[n]` tensors without
        gradients.

    Example:
        >>> codes = np.eye(4, dtype="float32")
        >>> loss, contrast = streamed_info_nce(
        ...     codes, codes, np.arange(4), np.full(4, 0.25, "float32"), scale=10.0
        ... )
        >>> np.asarray(contrast.correct)
        array([1., 1., 1., 1.], dtype=float32)
    """
    num_predictions, num_candidates = ops.shape(predictions)[0], ops.shape(candidates)[0]
    positives = ops.cast(positives, "int32")
    if sample is not None:
        sample = ops.cast(sample, "int32")
    num_scored = num_candidates if sample is None else ops.shape(sample)[0]
    stream = functools.partial(
        _stream,
        positives=positives,
        weights=weights,
        block_size=_block_size(num_scored),
        scale=scale,
        group_size=group_size,
        sample=sample,
        with_gradient=with_gradient,
    )
    if with_gradient:

        @ops.custom_gradient
        def contrast(predictions, candidates):
            found, gradients = stream(predictions, candidates)

            def gradient(*arguments, upstream=None):
                # PyTorch's backend names it. It is `weights` times one number, for the
                # cross-entropies, and nothing for the hits.
                upstream = arguments[-1] if upstream is None else upstream
                factor = ops.sum(upstream[0]) / ops.sum(weights)
                return tuple(factor * x for x in gradients)

            return found, gradient

        found = contrast(predictions, candidates)
    else:
        found, _ = stream(ops.stop_gradient(predictions), ops.stop_gradient(candidates))
    total = ops.sum(weights * found[0])
    found = ops.stop_gradient(found)
    if group_size is not None:
        num_scored = num_candidates - group_size + 1
    num_scored = ops.broadcast_to(ops.cast(num_scored, "float32"), (num_predictions,))
    if sample is not None:
        # The positive, unless it was drawn: then it is one of the sample.
        is_drawn = ops.segment_sum(
            ops.ones_like(sample, "float32"), sample, num_segments=num_candidates
        )
        # Not `+=`: PyTorch would write many numbers into the place of one.
        num_scored = num_scored + 1.0 - ops.take(is_drawn, positives)
    return total, Contrast(found[0], found[1], ops.log(num_scored))


def _block_size(num_candidates):
    low, high = BLOCK_SIZES
    if isinstance(num_candidates, int):
        return min(max(BLOCK_SCORES // num_candidates, low), high)
    return ops.minimum(ops.maximum(BLOCK_SCORES // num_candidates, low), high)


def _stream(
    predictions,
    candidates,
    *,
    positives,
    weights,
    block_size,
    scale,
    group_size,
    sample,
    with_gradient,
):
    """Cross-entropies and hits, `[2, n]`, and the gradients of their weighted sum."""
    count, dim = ops.shape(predictions)[0], predictions.shape[-1]
    num_blocks = (count + block_size - 1) // block_size
    missing = num_blocks * block_size - count
    numbers = ops.arange(ops.shape(candidates)[0])
    num_candidates = candidates.shape[0] or ops.shape(candidates)[0]
    # Once, not for each block.
    others = candidates if sample is None else ops.take(candidates, sample, axis=0)
    columns = scale * ops.transpose(others)
    size = ops.norm(candidates, axis=-1)

    def blocks(x):
        x = ops.concatenate([x, ops.zeros((missing, *x.shape[1:]), x.dtype)])
        return ops.reshape(x, (num_blocks, block_size, *x.shape[1:]))

    def step(carry, block):
        p, own, weight = block
        scores = ops.matmul(p, columns)
        true = ops.take(candidates, own, axis=0)
        if sample is None:
            positive = ops.take_along_axis(scores, own[:, None], axis=1)
        else:
            # A sum of its own, the only one: where it was drawn, the column is left out.
            positive = scale * ops.sum(p * true, axis=1, keepdims=True)
            scores = ops.where(ops.equal(sample[None], own[:, None]), MASKED, scores)
        if group_size is not None:
            same = ops.equal(numbers[None] // group_size, own[:, None] // group_size)
            excluded = ops.logical_and(same, ops.not_equal(numbers[None], own[:, None]))
            scores = ops.where(excluded, MASKED, scores)
        top = ops.max(scores, axis=1, keepdims=True)
        if sample is not None:
            top = ops.maximum(top, positive)
        exponentials = ops.exp(scores - top)
        total = ops.sum(exponentials, axis=1)
        beside = 0.0  # the positive's exponential, where it is in no column
        if sample is not None:
            beside = ops.exp(positive - top)[:, 0]
            total += beside
        # The positive is taken off first: of two large, nearly equal numbers little would be left.
        loss = ops.log(total) + (top - positive)[:, 0]
        # What comes as close as rounding allows ties, and a tie is wrong; see `InfoNCE`.
        rounding = 1e-6 * abs(scale) * ops.norm(p, axis=-1) * ops.take(size, own)
        bar = positive - rounding[:, None]
        at_least = ops.sum(ops.cast(scores >= bar, "float32"), axis=1)
        if sample is not None:
            at_least += ops.cast(positive >= bar, "float32")[:, 0]
        correct = ops.cast(ops.equal(at_least, 1.0), "float32")
        if not with_gradient:
            return carry, (loss, correct)
        # Rows are scaled in the narrow matrices, not in the wide one.
        share = (weight / total)[:, None]
        pulled = share * ops.matmul(exponentials, others)
        pull = (weight * (1.0 - beside / total))[:, None]
        pushed, drawn = carry
        pushed += ops.matmul(ops.transpose(scale * share * p), exponentials)
        # Predictions draw their own candidates; several may share one.
        drawn += ops.segment_sum(scale * pull * p, own, num_segments=num_candidates)
        return [pushed, drawn], (loss, correct, scale * (pulled - pull * true))

    carry, outputs = scan(
        step,
        [ops.zeros_like(columns), ops.zeros_like(candidates)] if with_gradient else ops.zeros(()),
        (blocks(predictions), blocks(positives), blocks(weights)),
        output_types=["float32"] * (3 if with_gradient else 2),
    )
    loss, correct = (ops.reshape(x, (-1,))[:count] for x in outputs[:2])
    found = ops.stack([loss, correct])
    if not with_gradient:
        return found, None
    by_prediction = ops.reshape(outputs[2], (-1, dim))[:count]
    pushed, drawn = carry
    pushed = ops.transpose(pushed)
    if sample is not None:
        pushed = ops.segment_sum(pushed, sample, num_segments=num_candidates)
    return found, (by_prediction, pushed - drawn)
