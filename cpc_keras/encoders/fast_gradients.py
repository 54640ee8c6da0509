"""Convolutions whose gradients are as fast as they are."""

import keras


def fast_gradients(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """Compute a convolution's gradient by its input as a convolution, where that is the same.

    At stride 1, with an odd kernel and "same" padding, the gradient by the input is the convolution
    of the output's gradient with the kernel, turned around and transposed. TensorFlow has an
    operation of its own for it, which on processors is slower: of 3,136 maps of 2x2 and 128
    channels, 3x3 kernel, it takes 541 ms, the convolution 25 (TensorFlow 2.21, two AVX2 cores; 32
    channels: 5.2 and 2.6). The layer stays the stock layer that it is: what is saved of it, and
    what it computes, do not change.

    Args:
        layer: a convolution. One of another kind, and any on another backend than TensorFlow, is
            left as it is.

    Returns:
        The same layer.

    Example:
        >>> layer = fast_gradients(keras.layers.Conv2D(8, 3, padding="same"))
        >>> layer(np.zeros((1, 4, 4, 2), "float32")).shape
        TensorShape([1, 4, 4, 8])
    """
    if (
        keras.backend.backend() == "tensorflow"
        and layer.strides == layer.dilation_rate == (1, 1)
        and layer.padding == "same"
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and all(size % 2 for size in layer.kernel_size)
    ):
        layer.convolution_op = _convolution
    return layer


def _convolution(inputs, kernel):
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
                padding="SAME",
            )
            return tf.nn.conv2d(upstream, turned, 1, "SAME"), by_kernel

        return tf.nn.conv2d(x, w, 1, "SAME"), gradient

    return convolution(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))
