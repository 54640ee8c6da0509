"""Convolutions in the form that is fastest on maps of patches."""

import functools

import keras
import numpy as np


def fast_convolution(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Compute a convolution, and its gradients, in the form that is fastest for its map.

    Patches are small and many, which TensorFlow's convolutions are not made for. What they compute
    does not change, how does, on TensorFlow alone:

    - On a map of no more positions than the kernel (twice as many with strides), every output sees
      nearly every input, and the convolution is one matrix product with the kernel laid out from
      every input to every output position. A convolution spends most of its arithmetic on padding
      there: 3x3 on maps of 2x2 takes 36 products where 16 are of the map. Forward and both
      gradients of 3,136 maps of 2x2, 256 channels: 90 ms instead of 315; of 4x4 at stride 2, 64 to
      256 channels: 91 instead of 702 (TensorFlow 2.21, two AVX2 cores).
    - At stride 1, with "valid" padding or an odd kernel and "same" padding, the gradient by the
      input is the convolution of the output's gradient with the kernel, turned around and
      transposed. TensorFlow's own operation for it is slower on processors.
    - A convolution whose windows do not overlap, stride and kernel being equal, is a matrix
      product.

    The layer stays the stock layer that it is, and so does what is saved of it.

    Args:
        layer: a convolution. One of another kind, and any on another backend than TensorFlow, is
            left as it is.

    Returns:
        The same layer.

    Example:
        >>> layer = fast_convolution(keras.layers.Conv2D(8, 3, padding="same"))
        >>> layer(np.zeros((1, 4, 4, 2), "float32")).shape
        TensorShape([1, 4, 4, 8])
    """
    plain = (
        keras.backend.backend() == "tensorflow"
        and layer.dilation_rate == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )
    if plain:
        layer.convolution_op = functools.partial(
            _convolution, strides=layer.strides, padding=layer.padding.upper()
        )
    return layer


def _convolution(inputs, kernel, *, strides, padding):
    import tensorflow as tf

    x, w = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
    sides, size = tuple(x.shape[1:3]), tuple(w.shape[:2])
    if None not in sides and _is_small(sides, size, strides):
        return _one_product(x, w, strides, padding)
    if strides == size and padding == "VALID" and None not in sides:
        return _product_of_windows(x, w)
    if strides == (1, 1) and (padding == "VALID" or all(side % 2 for side in size)):
        return _with_convolved_gradient(x, w, padding)
    return tf.nn.conv2d(x, w, strides, padding)


def _is_small(sides, size, strides):
    # The product costs inputs x outputs, the convolution kernel x outputs, at about the same rate
    # without strides; with them TensorFlow's gradient by the input is several times slower.
    factor = 1 if strides == (1, 1) else 2
    return np.prod(size) > 1 and np.prod(sides) <= factor * np.prod(size)


def _one_product(x, w, strides, padding):
    import tensorflow as tf

    sides, size, channels, filters = x.shape[1:3], w.shape[:2], w.shape[2], w.shape[3]
    rows, columns = (
        _taps(*arguments, padding) for arguments in zip(sides, size, strides, strict=True)
    )
    outputs = (rows.shape[2], columns.shape[2])
    # [inputs, outputs, taps]: which tap of the kernel leads from an input to an output position.
    chosen = np.einsum("tio,ujp->ijoptu", rows, columns).reshape(-1, np.prod(size))
    wide = tf.matmul(tf.constant(chosen, w.dtype), tf.reshape(w, (-1, channels * filters)))
    wide = tf.reshape(wide, (np.prod(sides), np.prod(outputs), channels, filters))
    wide = tf.reshape(tf.transpose(wide, (0, 2, 1, 3)), (np.prod(sides) * channels, -1))
    flat = tf.reshape(x, (-1, np.prod(sides) * channels))
    return tf.reshape(tf.matmul(flat, wide), (-1, *outputs, filters))


def _taps(side, size, stride, padding):
    """`[taps, inputs, outputs]`: 1 where an output sees an input through a tap, on one axis."""
    if padding == "SAME":
        outputs = -(-side // stride)
        # What is padded before the first input; the rest of an odd number goes behind the last.
        before = max((outputs - 1) * stride + size - side, 0) // 2
    else:
        outputs, before = (side - size) // stride + 1, 0
    taps, inputs, places = np.ogrid[:size, :side, :outputs]
    return (inputs == places * stride - before + taps).astype("float32")


def _with_convolved_gradient(x, w, padding):
    import tensorflow as tf

    @tf.custom_gradient
    def convolution(x, w):
        def gradient(upstream):
            turned = tf.transpose(tf.reverse(w, (0, 1)), (0, 1, 3, 2))
            by_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=x,
                filter_sizes=tf.shape(w),
                out_backprop=upstream,
                strides=(1, 1, 1, 1),
                padding=padding,
            )
            around = padding
            if padding == "VALID":
                # Every window that touches the output's gradient.
                rows, columns = (size - 1 for size in w.shape[:2])
                around = ((0, 0), (rows, rows), (columns, columns), (0, 0))
            return tf.nn.conv2d(upstream, turned, 1, around), by_kernel

        return tf.nn.conv2d(x, w, 1, padding), gradient

    return convolution(x, w)


def _product_of_windows(x, w):
    import tensorflow as tf

    height, width, channels, filters = w.shape
    rows, columns = (side // size for side, size in zip(x.shape[1:3], (height, width), strict=True))
    # What remains at the lower and right border is in no window.
    x = x[:, : rows * height, : columns * width]
    x = tf.reshape(x, (-1, rows, height, columns, width, channels))
    x = tf.reshape(tf.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, height * width * channels))
    return tf.reshape(tf.matmul(x, tf.reshape(w, (-1, filters))), (-1, rows, columns, filters))
