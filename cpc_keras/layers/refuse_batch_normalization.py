"""Statistics over a batch let predictions see their targets."""

import keras


def refuse_batch_normalization(network: keras.layers.Layer, *, role: str, spanned: str) -> None:
    """Raise an error if a layer of a network normalises over the batch and is trainable.

    Args:
        network: a model or layer, built, so that all its layers exist.
        role: what the network is, for the message.
        spanned: what the statistics would span, for the message.

    Raises:
        ValueError: trainable `keras.layers.BatchNormalization`; a frozen one is let pass.

    Example:
        >>> network = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
        >>> network.layers[0].trainable = False
        >>> refuse_batch_normalization(network, role="patch encoder", spanned="all patches")
    """
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
            raise ValueError(
                f"The {role} {network.name!r} holds trainable batch normalisation "
                f"({layer.name!r}). Its statistics span {spanned}, so that a prediction could see "
                "its target. Use group or layer normalisation, or freeze it: "
                f"{layer.name}.trainable = False."
            )
