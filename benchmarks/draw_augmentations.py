"""The picture of docs/augmentations.md: `python -m benchmarks.draw_augmentations`.

Two patches of scikit-learn's photographs, each beside three draws of every layer and stack.
"""

import argparse
import pathlib

import keras
import numpy as np
import PIL.Image

from cpc_keras.augmentations import (
    HistogramEqualization,
    RandomAffine,
    RandomApply,
    RandomBlur,
    RandomChannelDrop,
    RandomChoice,
    RandomColorJitter,
    RandomElastic,
    RandomEnhance,
    RandomGrayscale,
    RandomPosterize,
    RandomResizedCrop,
    RandomShift,
    RandomSubcrop,
    RandomToneCurve,
    image_augmentation,
    patch_augmentation,
)

PICTURE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "augmentations.png"
SIDE, DRAWS = 80, 3
# (photograph, top, left): corners of patches with edges and colours.
PATCHES = (("china.jpg", 150, 290), ("flower.jpg", 180, 270))


def layers(side: int) -> dict[str, keras.layers.Layer]:
    """Every layer and stack, for patches of `side` pixels and three channels."""
    choice = [RandomPosterize((2, 2), seed=1), RandomAffine(30, seed=2)]
    return {
        "RandomShift(side // 16)": RandomShift(max(1, side // 16), seed=0),
        "RandomSubcrop(60/64, constant)": RandomSubcrop(
            side * 60 // 64, fill_mode="constant", seed=0
        ),
        "RandomResizedCrop()": RandomResizedCrop(seed=0),
        "RandomBlur()": RandomBlur(seed=0),
        "RandomChannelDrop()": RandomChannelDrop(seed=0),
        "RandomGrayscale(0.5)": RandomGrayscale(0.5, seed=0),
        "RandomAffine(30)": RandomAffine(30, seed=0),
        "RandomAffine(shear=(0.3, 0))": RandomAffine(shear=(0.3, 0.0), seed=0),
        "RandomAffine(translation=1/3)": RandomAffine(translation=1 / 3, seed=0),
        "RandomElastic(shear=0.1)": RandomElastic(shear=0.1, seed=0),
        'RandomEnhance("brightness")': RandomEnhance("brightness", seed=0),
        'RandomEnhance("contrast")': RandomEnhance("contrast", seed=0),
        'RandomEnhance("color")': RandomEnhance("color", seed=0),
        'RandomEnhance("sharpness")': RandomEnhance("sharpness", seed=0),
        "RandomPosterize((1, 4))": RandomPosterize((1, 4), seed=0),
        "HistogramEqualization()": HistogramEqualization(),
        "RandomToneCurve()": RandomToneCurve(seed=0),
        "RandomColorJitter()": RandomColorJitter(seed=0),
        "RandomApply(RandomAffine(30), 0.5)": RandomApply(RandomAffine(30, seed=1), 0.5, seed=0),
        "RandomChoice([posterize, rotate])": RandomChoice(choice, seed=0),
        **{
            f'patch_augmentation("{name}")': patch_augmentation(name, (side, side, 3), seed=0)
            for name in ("light", "cpc_v1", "cpc_v2")
        },
        'image_augmentation("simclr")': image_augmentation("simclr", (side, side, 3), seed=0),
    }


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=PICTURE)
    arguments = parser.parse_args()
    _draw(layers(SIDE), _patches(), arguments.out)
    print(arguments.out)


def _patches():
    from sklearn.datasets import load_sample_image

    return np.stack(
        [load_sample_image(n)[y : y + SIDE, x : x + SIDE] for n, y, x in PATCHES]
    ).astype("float32")


def _draw(rows, patches, path):
    from matplotlib.figure import Figure

    columns = len(patches) * (DRAWS + 1)
    figure = Figure(figsize=(1.0 * columns + 3, 1.05 * len(rows)), dpi=64)
    axes = figure.subplots(len(rows), columns)
    figure.subplots_adjust(left=0.24, right=0.995, top=0.98, bottom=0.005, wspace=0.06, hspace=0.06)
    for row, (label, layer) in zip(axes, rows.items(), strict=True):
        drawn = layer(np.repeat(patches, DRAWS, axis=0), training=True)
        drawn = keras.ops.convert_to_numpy(drawn).reshape(len(patches), DRAWS, SIDE, SIDE, 3)
        pictures = np.concatenate([patches[:, None], drawn], axis=1).reshape(-1, SIDE, SIDE, 3)
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture.round().astype("uint8"))
            axis.set_xticks([])
            axis.set_yticks([])
        for k in range(0, columns, DRAWS + 1):
            for spine in row[k].spines.values():
                spine.set(linewidth=2.5, color="tab:blue")
            axes[0, k].set_title("original", fontsize=9)
        row[0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    # A palette makes a quarter of the file.
    with PIL.Image.open(path) as drawn:
        drawn.convert("RGB").quantize(256, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
