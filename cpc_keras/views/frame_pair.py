"""Two frames of a video clip."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("cpc_keras")
class FramePair(keras.layers.Layer):
    """Takes two frames a given time apart from every clip, the earlier one drawn uniformly.

    The pair of McAllester's form of contrastive coding (McAllester and Stratos 2018,
    arXiv:1811.04251): what remains of one frame in a later one is what is worth coding. Drawn in
    evaluation as in training.

    Args:
        gap: frames from the first to the second, 1 or more: seconds times frames a second.
        seed: integer, for the draws.
        name: name of the layer.

    Call arguments:
        clips: `[batch, time, height, width, channels]`, at least `gap + 1` frames.

    Returns:
        Two tensors `[batch, height, width, channels]`: frames t and t + gap of each clip.

    Raises:
        ValueError: a gap below 1, clips of another rank or of `gap` frames or fewer.

    Example:
        >>> clips = np.broadcast_to(np.arange(6.0).reshape(1, 6, 1, 1, 1), (4, 6, 8, 8, 1))
        >>> first, second = FramePair(gap=2)(clips)
        >>> np.unique(second - first)
        array([2.], dtype=float32)
    """

    # What a model with these views takes: clips.
    takes_clips = True

    def __init__(self, gap: int, seed: int | None = None, name: str = "frame_pair", **kwargs):
        super().__init__(name=name, **kwargs)
        if int(gap) != gap or gap < 1:
            raise ValueError(f"gap must be a whole number of frames, 1 or more. Received: {gap!r}.")
        self.gap = int(gap)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, clips):
        """Draw the pairs."""
        clips = ops.convert_to_tensor(clips)
        if len(clips.shape) != 5 or (clips.shape[1] or self.gap + 1) <= self.gap:
            raise ValueError(
                "FramePair takes clips [batch, time, height, width, channels] of at least "
                f"{self.gap + 1} frames (gap={self.gap}). Received shape {tuple(clips.shape)}."
            )
        batch, time = ops.shape(clips)[0], ops.shape(clips)[1]
        latest = ops.cast(time - self.gap, "float32")
        draws = keras.random.uniform((batch,), seed=self.seed_generator)
        # Rounding may carry a draw close to 1 to the end of the range.
        first = ops.minimum(ops.cast(draws * latest, "int32"), time - self.gap - 1)
        return self._frames(clips, first), self._frames(clips, first + self.gap)

    def _frames(self, clips, index):
        index = ops.reshape(index, (-1, 1, 1, 1, 1))
        return ops.squeeze(ops.take_along_axis(clips, index, axis=1), axis=1)

    def get_config(self):
        """Return the constructor's arguments."""
        return {**super().get_config(), "gap": self.gap, "seed": self.seed}
