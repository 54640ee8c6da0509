"""The picture of docs/views.md: `python -m benchmarks.draw_views`.

Two squares of scikit-learn's photographs, each beside two draws of every view of images.
"""

import argparse
import math
import pathlib

import keras
import numpy as np
import PIL.Image

from cpc_keras.augmentations import image_augmentation
from cpc_keras.methods import jigsaw, relative_position
from cpc_keras.views import FramePair, Rotations, TileGrid, TwoViews

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "views.png"
SIDE, DRAWS = 96, 2
# (photograph, top, left): corners of squares with edges and an upright.
SQUARES = (("china.jpg", 120, 270), ("flower.jpg", 170, 260))
FRAMES, GAP = 8, 4
POSITIONS = (
    *("above left", "above", "above right", "left"),
    *("right", "below left", "below", "below right"),
)


def layers() -> dict[str, keras.layers.Layer]:
    """Every view; those of tiles as the methods make them for images of `SIDE` pixels."""
    shape = (SIDE, SIDE, 3)
    pair = relative_position(shape, encoder="tiny", hidden_dims=(), seed=0).views
    puzzle = jigsaw(shape, encoder="tiny", hidden_dims=(), num_permutations=100, seed=0).views
    grid = {"spacing": pair.spacing, "jitter": pair.jitter}
    return {
        "TwoViews": TwoViews(image_augmentation("simclr", shape, seed=0)),
        "FramePair": FramePair(GAP, seed=0),
        "Rotations": Rotations(),
        "TileGrid": TileGrid(pair.tile_size, **grid, seed=0),
        "NeighborPair": pair,
        "JigsawTiles": puzzle,
    }


def squares() -> np.ndarray:
    """The images, `[2, SIDE, SIDE, 3]`, pixels in [0, 255]."""
    from sklearn.datasets import load_sample_image

    cut = [load_sample_image(n)[y : y + SIDE, x : x + SIDE] for n, y, x in SQUARES]
    return np.stack(cut).astype("float32")


def clips() -> np.ndarray:
    """A camera that moves five pixels a frame to the right, `[2, FRAMES, SIDE, SIDE, 3]`."""
    from sklearn.datasets import load_sample_image

    return np.stack(
        [
            [
                load_sample_image(n)[y : y + SIDE, x + 5 * t : x + 5 * t + SIDE]
                for t in range(FRAMES)
            ]
            for n, y, x in SQUARES
        ]
    ).astype("float32")


def draw(layer: keras.layers.Layer, images: np.ndarray) -> list[tuple[np.ndarray, list[str]]]:
    """Draw a view once of each image.

    Args:
        layer: one of `layers`.
        images: what it takes.

    Returns:
        Of each image its pictures, `[pictures, height, width, 3]`, and what is to be told of them.
    """
    found = layer(images)
    if isinstance(layer, TwoViews | FramePair):
        pictures = np.stack([np.asarray(view) for view in found], axis=1)
        return [(each, ["a pair"]) for each in pictures]
    if type(layer) is TileGrid:
        return [(each, ["nine places"]) for each in np.asarray(found)]
    tiles, labels = (np.asarray(part) for part in found)
    if isinstance(layer, Rotations):
        return [
            (one[:, 0], [f"{90 * turn}°" for turn in told])
            for one, told in zip(tiles, labels, strict=True)
        ]
    told = labels[:, 0]
    words = [POSITIONS[k] if len(POSITIONS) == layer.num_classes else f"class {k}" for k in told]
    return [(one[0], [word]) for one, word in zip(tiles, words, strict=True)]


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=PICTURE)
    arguments = parser.parse_args()
    _draw(arguments.out)
    print(arguments.out)


def _draw(path):
    from matplotlib.figure import Figure

    images, rows = squares(), layers()
    figure = Figure(figsize=(11.5, 2.1 * len(rows)), dpi=72)
    axes = figure.subplots(len(rows), len(images) * (1 + DRAWS))
    figure.subplots_adjust(left=0.09, right=0.99, top=0.97, bottom=0.01, wspace=0.08, hspace=0.2)
    for row, (name, layer) in zip(axes, rows.items(), strict=True):
        given = clips() if isinstance(layer, FramePair) else images
        draws = [draw(layer, given) for _ in range(DRAWS)]
        row[0].set_ylabel(name, fontsize=10)
        for k, image in enumerate(images):
            first = k * (1 + DRAWS)
            _show(row[first], image, "image")
            for axis, drawn in zip(row[first + 1 :], draws, strict=False):
                pictures, words = drawn[k]
                _show(axis, side_by_side(pictures), ", ".join(words))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    with PIL.Image.open(path) as drawn:
        drawn.convert("RGB").quantize(256, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def side_by_side(pictures, border=4):
    """Pictures on white: two in a row, four or nine in a square."""
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    missing = rows * columns - len(pictures)
    around = [(0, missing), (0, border), (0, border), (0, 0)]
    padded = np.pad(pictures, around, constant_values=255.0)
    height, width = padded.shape[1:3]
    grid = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, 3)


def _show(axis, picture, title):
    axis.imshow(np.clip(picture, 0, 255).round().astype("uint8"))
    axis.set_title(title, fontsize=8, pad=2)
    axis.set_xticks([])
    axis.set_yticks([])


if __name__ == "__main__":
    main()
