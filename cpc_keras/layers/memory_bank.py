"""A memory of one code for every image."""

import keras
from keras import ops

from cpc_keras.ops import gather_replicas, l2_normalize


@keras.saving.register_keras_serializable("cpc_keras")
class MemoryBank(keras.layers.Layer):
    """Keeps a direction for every image of a data set, a moving average of its codes.

    With it an image is compared with all others, not with those of its batch alone (Wu et al. 2018,
    arXiv:1805.01978, section 3.2). The directions are a weight that is not trained: checkpoints and
    saved models hold them. They begin as random directions.

    Args:
        size: how many images there are; their indices are 0 to `size - 1`.
        dim: length of a code. The paper: 128.
        momentum: share of the old direction that an update keeps, in [0, 1). The paper's code: 0.5.
        seed: integer, for the first directions.
        name: name of the layer.

    Call arguments:
        codes: `[batch, dim]`, of length 1 each.

    Returns:
        Cosines with the directions of all images, float32 `[batch, size]`.

    Raises:
        ValueError: numbers out of range.

    Example:
        >>> bank = MemoryBank(100, dim=8, momentum=0.0)
        >>> bank.update([3], np.eye(1, 8))
        >>> int(np.argmax(bank(np.eye(1, 8, dtype="float32"))))
        3
    """

    def __init__(
        self,
        size: int,
        *,
        dim: int = 128,
        momentum: float = 0.5,
        seed: int | None = None,
        name: str = "memory_bank",
        **kwargs,
    ):
        # Directions of single precision, in float32 under mixed precision too.
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        if size < 2 or dim < 1 or not 0 <= momentum < 1:
            raise ValueError(
                "MemoryBank: expected size >= 2, dim >= 1 and momentum in [0, 1). Received: size="
                f"{size!r}, dim={dim!r}, momentum={momentum!r}."
            )
        self.size, self.dim, self.momentum, self.seed = size, dim, momentum, seed
        self.directions = self.add_weight(
            shape=(size, dim), initializer=self._random, trainable=False, name="directions"
        )
        self.built = True

    def _random(self, shape, dtype=None):
        return l2_normalize(keras.random.normal(shape, dtype=dtype, seed=self.seed))

    def call(self, codes):
        """Compare codes with all directions."""
        return ops.matmul(ops.cast(codes, "float32"), ops.transpose(self.directions))

    def rows(self, index):
        """Return the directions of some images, `[..., dim]` for an index `[...]`."""
        return ops.take(self.directions, index, axis=0)

    def update(self, index, codes):
        """Move the directions of some images towards their codes.

        `v = normalize(momentum * v + (1 - momentum) * code)`. Of an image that is there twice, the
        mean of its codes counts as its code: the order in a batch does not matter. Under a
        `tf.distribute` strategy the codes of all replicas are gathered, so that the banks of all
        replicas stay the same.

        Args:
            index: integers `[batch]`.
            codes: `[batch, dim]`, of length 1 each; no gradient flows.
        """
        index, _ = gather_replicas(ops.cast(ops.convert_to_tensor(index), "int32"))
        codes, _ = gather_replicas(ops.cast(ops.stop_gradient(codes), "float32"))
        same = ops.cast(ops.equal(index[:, None], index[None, :]), "float32")
        codes = ops.matmul(same, codes) / ops.sum(same, axis=1, keepdims=True)
        moved = self.momentum * self.rows(index) + (1 - self.momentum) * codes
        self.directions.assign(
            ops.scatter_update(self.directions, index[:, None], l2_normalize(moved))
        )

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "dim": self.dim,
            "momentum": self.momentum,
            "seed": self.seed,
        }
