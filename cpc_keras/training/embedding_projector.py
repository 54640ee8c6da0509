"""Features for TensorBoard's projector."""

import os
import pathlib
from collections.abc import Sequence

import keras
import numpy as np

from cpc_keras.evaluation import thumbnails
from cpc_keras.training.held_out_probe import HeldOutProbe

# TensorBoard cannot show a larger picture of all images.
LARGEST_SPRITE = 8192
LARGEST_THUMBNAIL = 48


class EmbeddingProjector(HeldOutProbe):
    """Writes features with their images and classes, as TensorBoard's projector shows them.

    `tensorboard --logdir DIRECTORY`, tab "Projector": the images as a cloud of thumbnails, turned
    and searched at will (PCA, t-SNE, UMAP). The files are plain (`projector_config.pbtxt`,
    `features.tsv`, `metadata.tsv`, `sprite.png`), those of the newest measurement replace the ones
    before, and TensorFlow is not needed to write them.

    Features of more than 64 dimensions are written as their first 64 principal components: the
    projector is slow with more, and starts from the principal components itself.

    Args:
        directory: TensorBoard's log directory; made if it is not there.
        images: `[n, height, width, channels]`, in [0, 255]; some thousands at most.
        labels: their classes, integers `[n]` (below 0: none) or 0 and 1 for each class, `[n,
            classes]`; or `None`.
        class_names: name of each class.
        every: epochs from one writing to the next.
        encoder: by default the model's own.
        batch_size: images at a time.

    Raises:
        ValueError: no images, `every` below 1, or not one label an image.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), **small)
        >>> model.compile(optimizer="adam")
        >>> _ = model.fit(images, verbose=0, callbacks=[EmbeddingProjector("logs", images)])
        >>> sorted(os.listdir("logs"))
        ['features.tsv', 'metadata.tsv', 'projector_config.pbtxt', 'sprite.png']
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        images: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        class_names: Sequence[str] = (),
        every: int = 1,
        encoder: keras.Model | None = None,
        batch_size: int = 250,
    ):
        super().__init__(images, every=every, encoder=encoder, batch_size=batch_size)
        if labels is not None and len(labels) != len(images):
            raise ValueError(
                f"EmbeddingProjector takes one label an image. Received {len(labels)} labels for "
                f"{len(images)} images."
            )
        self._directory = pathlib.Path(directory)
        self._labels, self._class_names = labels, tuple(class_names)

    def measure(self) -> dict[str, float]:
        """Write the files; nothing is logged."""
        features = self.features()
        if features.shape[1] > 64:
            features = features - features.mean(axis=0)
            u, s, _ = np.linalg.svd(features, full_matrices=False)
            features = (u * s)[:, :64]
        self._directory.mkdir(parents=True, exist_ok=True)
        rows = ("\t".join(f"{x:.5g}" for x in row) for row in features)
        self._write("features.tsv", "".join(f"{row}\n" for row in rows).encode())
        self._write("metadata.tsv", "".join(f"{name}\n" for name in self._names()).encode())
        sprite, height, width = self._sprite()
        self._write("sprite.png", sprite)
        config = (
            'embeddings {\n  tensor_name: "features"\n  tensor_path: "features.tsv"\n'
            '  metadata_path: "metadata.tsv"\n  sprite {\n    image_path: "sprite.png"\n'
            f"    single_image_dim: {width}\n    single_image_dim: {height}\n  }}\n}}\n"
        )
        self._write("projector_config.pbtxt", config.encode())
        return {}

    def _names(self):
        if self._labels is None:
            return [f"image {i}" for i in range(len(self._images))]
        names = [
            " ".join(str(self._class_names[i] if self._class_names else i) for i in classes)
            for classes in map(_classes, self._labels)
        ]
        return [" ".join(name.split()) or "none" for name in names]  # a tab would be a column

    def _sprite(self):
        import io

        import PIL.Image

        columns = int(np.ceil(np.sqrt(len(self._images))))
        side = min(LARGEST_THUMBNAIL, LARGEST_SPRITE // columns)
        small = thumbnails(self._images, side)
        height, width, channels = small.shape[1:]
        canvas = np.zeros((columns**2, height, width, channels), "uint8")
        canvas[: len(small)] = small
        canvas = canvas.reshape(columns, columns, height, width, channels)
        canvas = canvas.transpose(0, 2, 1, 3, 4).reshape(columns * height, columns * width, -1)
        buffer = io.BytesIO()
        picture = PIL.Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
        picture.save(buffer, format="PNG")
        return buffer.getvalue(), height, width

    def _write(self, name, content):
        # TensorBoard may be reading: it sees the old file or the new one.
        partial = self._directory / f".partial-{name}"
        partial.write_bytes(content)
        partial.replace(self._directory / name)


def _classes(label):
    """Numbers of the classes of an image, whose label is one or has a mark for each."""
    return np.flatnonzero(label) if np.ndim(label) else [label] if label >= 0 else []
