"""Vectors to directions."""

from keras import ops

# Gradients are divided by the norm, and below this by this: a dead code, all zeros, then gets a
# gradient that is finite and not so large as to throw the weights out.
SMALLEST_NORM = 1e-4


def l2_normalize(vectors):
    """Divide vectors by their Euclidean norms, with a gradient that is finite everywhere.

    `x / max(|x|, 1e-4)`. For cosine similarities; `keras.ops.normalize` computes the same, but its
    gradient at a vector of zeros is NaN on JAX (it takes the minimum after 1 / 0, not before).

    Args:
        vectors: `[..., dim]`, any float dtype.

    Returns:
        `[..., dim]` of norm 1; shorter where the norm was below 1e-4, and 0 for a vector of zeros.

    Example:
        >>> np.asarray(l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]], "float32"))).round(2)
        array([[0.6, 0.8],
               [0. , 0. ]], dtype=float32)
    """
    vectors = ops.convert_to_tensor(vectors)  # PyTorch's tensors do not go with arrays
    square = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, SMALLEST_NORM**2))
