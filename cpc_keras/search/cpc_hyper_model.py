"""The settings of CPC as a space that keras-tuner searches."""

import contextlib
import dataclasses
import os
import re
import tempfile
from collections.abc import Sequence

import keras
import keras_tuner
import numpy as np

from cpc_keras.augmentations import PATCH_AUGMENTATIONS, image_augmentation
from cpc_keras.models import CPCModel
from cpc_keras.models.check_arguments import check_directions, checked_image_shape
from cpc_keras.ops import grid_shape
from cpc_keras.search.patch_geometries import patch_geometries
from cpc_keras.search.probe_score import PROBES, probe_score
from cpc_keras.training import Recipe, pretrain

# One direction as in v1, both of an axis, all as in v2.
DIRECTIONS = ("down", "down,up", "down,up,left,right")


class CPCHyperModel(keras_tuner.HyperModel):
    """Builds, trains and scores a `CPCModel` from hyperparameters; any keras-tuner takes it.

    | hyperparameter | values |
    |---|---|
    | `encoder_width` | channels of the first of three stages: 8, 16, 32, 64 |
    | `encoder_depth` | residual blocks a stage: 1, 2, 3 |
    | `patch` | "PATCH/STRIDE", all that fit the image (`patch_geometries`) |
    | `offsets_PATCH/STRIDE` | runs from the first offset that does not overlap; for each `patch` |
    | `directions` | down; down and up; all four |
    | `temperature` | 0.05 to 1 of cosine scores, logarithmic |
    | `patch_augmentation` | "none" < "light" < "cpc_v1" < "cpc_v2", from weak to strong |
    | `image_augmentation` | the names given, for example "none" < "photos" |
    | `learning_rate` | 1e-4 to 1e-2, logarithmic |

    The space is made of settings that the model takes, whatever the image: none is tried only to be
    refused. Patches whose grid is coarser than the base's pooling are left out, and without image
    augmentation there are no `independent_targets`. `fit` returns `{"probe_accuracy": ...,
    "loss": ...}`; maximise the first (`keras_tuner.Objective("probe_accuracy", "max")`). The loss
    cannot be compared between settings: see `probe_score`.

    Args:
        image_shape: `(height, width, channels)`.
        base: what is not searched: epochs, batch size, optimizer, further arguments of the model.
            What is searched replaces the base's.
        widths: choices of `encoder_width`.
        depths: choices of `encoder_depth`.
        patch_sizes: sides of patches, in pixels; by default see `patch_geometries`.
        directions: choices, each of names separated by commas.
        image_augmentations: names of `augmentations.image_augmentation`.
        probe: "linear" or "knn"; see `probe_score`.

    Raises:
        ValueError: a base of another method than "cpc", an unknown probe, or an image that no grid
            fits, or none as fine as the base's pooling.

    Example:
        >>> hypermodel = CPCHyperModel((16, 16, 1), base=Recipe(num_epochs=1, batch_size=4))
        >>> hyperparameters = keras_tuner.HyperParameters()
        >>> hypermodel.build(hyperparameters).grid
        (7, 7)
        >>> sorted(hyperparameters.values)[:3]
        ['directions', 'encoder_depth', 'encoder_width']
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        base: Recipe | None = None,
        widths: Sequence[int] = (8, 16, 32, 64),
        depths: Sequence[int] = (1, 2, 3),
        patch_sizes: Sequence[int] | None = None,
        directions: Sequence[str] = DIRECTIONS,
        image_augmentations: Sequence[str] = ("none", "photos"),
        probe: str = "linear",
    ):
        super().__init__(name="cpc")
        self.image_shape = checked_image_shape(image_shape)
        self.base = base or Recipe()
        if self.base.method != "cpc" or self.base.crop_size:
            raise ValueError(
                'CPCHyperModel: expected a base with method="cpc" and no crop_size. Received: '
                f"method={self.base.method!r}, crop_size={self.base.crop_size!r}."
            )
        if probe not in PROBES:
            raise ValueError(f"CPCHyperModel: probe must be one of {PROBES}. Received: {probe!r}.")
        self.probe = probe
        self.widths, self.depths = tuple(widths), tuple(depths)
        self.directions = tuple(directions)
        for choice in self.directions:
            check_directions(choice.split(","))
        self.image_augmentations = tuple(image_augmentations)
        for name in self.image_augmentations:
            image_augmentation(name, self.image_shape)  # refuses an unknown one
        self.geometries = self._as_fine_as_pooling(
            patch_geometries(self.image_shape, patch_sizes=patch_sizes)
        )

    def _as_fine_as_pooling(self, geometries):
        pooling = str(self.base.model.get("pooling", "mean"))
        match = re.fullmatch(r"(\d+)x(\d+)", pooling)
        if not match:
            return geometries
        rows, columns = map(int, match.groups())
        kept = {}
        for name, runs in geometries.items():
            size, stride = map(int, name.split("/"))
            grid = grid_shape(self.image_shape[:2], patch_size=size, patch_stride=stride)
            if grid[0] >= rows and grid[1] >= columns:
                kept[name] = runs
        if not kept:
            raise ValueError(
                f"CPCHyperModel: the base's pooling={pooling!r} is finer than every grid of "
                f"patches {list(geometries)}. Expected smaller patches (patch_sizes=), or a base "
                'with pooling="mean".'
            )
        return kept

    def recipe(self, hp: keras_tuner.HyperParameters) -> Recipe:
        """Return the settings that hyperparameters stand for; declares them where they are new."""
        patch = hp.Choice("patch", list(self.geometries))
        for name, runs in self.geometries.items():
            # A name of its own under each patch: keras-tuner 1.4.8 loses the value of a name that
            # stands under several conditions.
            with hp.conditional_scope("patch", [name]):
                chosen = hp.Choice(f"offsets_{name}", list(runs), default=runs[-1])
                if name == patch:
                    offsets = chosen
        size, stride = (int(number) for number in patch.split("/"))
        temperature = hp.Float("temperature", 0.05, 1.0, sampling="log", default=0.1)
        model = {
            **self.base.model,
            "patch_encoder": "small",
            "encoder_width": hp.Choice("encoder_width", self.widths),
            "encoder_depth": hp.Choice("encoder_depth", self.depths),
            "patch_size": size,
            "patch_stride": stride,
            "offsets": [int(number) for number in offsets.split(",")],
            "directions": hp.Choice(
                "directions", self.directions, default=self.directions[-1]
            ).split(","),
            "score": "cosine",
            "scale": 1 / temperature,
            "patch_augmentation": hp.Choice("patch_augmentation", PATCH_AUGMENTATIONS),
        }
        augmentation = hp.Choice("image_augmentation", self.image_augmentations)
        if augmentation == "none":
            model.pop("independent_targets", None)  # copies that do not differ: refused
        return dataclasses.replace(
            self.base,
            model=model,
            image_augmentation=augmentation,
            learning_rate=hp.Float("learning_rate", 1e-4, 1e-2, sampling="log", default=1e-3),
        )

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Return the model of hyperparameters, not compiled: the schedule needs the images."""
        recipe = self.recipe(hp)
        keras.utils.set_random_seed(recipe.seed)
        return CPCModel(
            self.image_shape,
            image_augmentation=image_augmentation(recipe.image_augmentation, self.image_shape),
            seed=recipe.seed,
            **recipe.model,
        )

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        epochs: int | None = None,
        initial_epoch: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        run_directory: str | os.PathLike | None = None,
        verbose: int | str = "auto",
    ) -> dict[str, float]:
        """Pre-train on all images without labels, then probe.

        Args:
            hp: the hyperparameters that `model` was built from.
            model: what `build` returned.
            images: `[n, height, width, channels]`, uint8.
            labels: integers `[n]`, below 0 where unknown; for the probe alone.
            groups: of every image, `[n]`, that the probe's split leaves whole; None for none.
            epochs: up to which epoch to train; by default those of the base. Tuners that give
                trials different budgets, such as `keras_tuner.Hyperband`, pass it.
            initial_epoch: how many of these the weights of `model` have behind them. The schedule
                of the learning rate is that of the epochs that follow.
            callbacks: of the training; tuners keep a trial's weights by one.
            run_directory: where to train, resumably; by default a temporary directory.
            verbose: tuners pass it on; training shows its own bar either way.

        Returns:
            `{"probe_accuracy": ..., "loss": ...}`.
        """
        recipe, begun = self.recipe(hp), model
        if epochs is not None:
            recipe = dataclasses.replace(recipe, num_epochs=epochs - initial_epoch)
        with contextlib.ExitStack() as stack:
            if run_directory is None:
                run_directory = stack.enter_context(tempfile.TemporaryDirectory())
            model = pretrain(
                lambda: begun,
                images,
                run_directory=run_directory,
                recipe=recipe,
                callbacks=callbacks,
            )
        score = probe_score(
            model.encoder, images, labels, probe=self.probe, seed=self.base.seed, groups=groups
        )
        # Of the same images for all; measured with what training draws turned off.
        loss = model.evaluate(
            images[: recipe.batch_size], batch_size=recipe.batch_size, verbose=0, return_dict=True
        )["loss"]
        return {"probe_accuracy": score, "loss": float(np.mean(loss))}
