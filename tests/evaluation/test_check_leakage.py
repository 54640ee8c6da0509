"""check_leakage lets correct models pass and finds each fault that is planted."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from cpc_keras import CPCModel, MaskedContext, check_leakage
from cpc_keras.encoders import valid_cnn
from cpc_keras.models import cpc_model
from cpc_keras.ops import DIRECTIONS, rotate_grid

SIZE, STRIDE = 4, 2
SHAPE = (10, 14, 1)  # a grid of 4 x 6


def encoder(*parts, width=16):
    start = [keras.Input((SIZE, SIZE, 1)), layers.Rescaling(1 / 127.5, -1.0), layers.Flatten()]
    return keras.Sequential([*start, layers.Dense(width), *parts])


def build(shape=SHAPE, *, parts=(), kind=CPCModel, **kwargs):
    keras.utils.set_random_seed(0)
    arguments = {
        "patch_encoder": encoder(*parts),
        "patch_augmentation": "light",
        "patch_size": SIZE,
        "patch_stride": STRIDE,
        "offsets": (2,),
        "directions": ("left",),
        "context_blocks": 1,
        "context_filters": 8,
        "target_dim": 8,
        **kwargs,
    }
    return kind(shape, **arguments)


def reasons(result):
    return {finding.reason for finding in result.leaks}


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        (SHAPE, {"directions": DIRECTIONS}),
        ((10, 10, 1), {"directions": DIRECTIONS, "context_blocks": 2, "offsets": (2, 3)}),
        ((14, 10, 1), {"directions": ("right",), "offsets": (3,), "patch_encoder": "mlp"}),
        (SHAPE, {"directions": ("up",), "parts": (layers.Dropout(0.3),)}),
        # Targets from a second copy of the image; the augmentation itself is left out.
        (
            SHAPE,
            {
                "directions": ("down",),
                "independent_targets": True,
                "image_augmentation": layers.RandomTranslation(0.2, 0.2),
                "parts": (layers.Dropout(0.3),),
            },
        ),
    ],
)
def test_a_correct_model_passes(shape, arguments):
    model = build(shape, **arguments)
    result = check_leakage(model)
    assert result.ok, str(result)
    assert list(result.leaks) == list(result.dead) == list(result.overlaps) == []
    rows, columns = model.grid
    lengths = {"down": (rows, columns), "up": (rows, columns)}
    for direction in arguments["directions"]:
        ahead, across = lengths.get(direction, (columns, rows))
        for offset in arguments.get("offsets", (2,)):
            assert len(result.maps[direction, offset]) == (ahead - offset) * across


def pixels(rows, columns, shape=SHAPE):
    """The pixels of a block of patches, rows and columns counted in the grid, as a mask."""
    mask = np.zeros(shape[:2], bool)
    for i in rows:
        for j in columns:
            mask[i * STRIDE : i * STRIDE + SIZE, j * STRIDE : j * STRIDE + SIZE] = True
    return mask


# One block sees its row and one row above, one column to each side. Patch (1, 2) of 4 x 6.
SEEN = {
    "down": ((0, 1), (1, 2, 3), (3, 2)),
    "up": ((2, 1), (1, 2, 3), None),
    "right": ((0, 1, 2), (1, 2), (1, 4)),
    "left": ((0, 1, 2), (2, 3), (1, 0)),
}


def test_the_maps_are_those_of_the_architecture():
    result = check_leakage(build(directions=DIRECTIONS), positions=[(1, 2)])
    for direction, (rows, columns, target) in SEEN.items():
        if target is None:  # row 1 has no row two further up
            assert (direction, 2) not in result.maps
            continue
        assert list(result.maps[direction, 2]) == [(1, 2)]
        found = result.maps[direction, 2][1, 2]
        np.testing.assert_array_equal(found.predicting, pixels(rows, columns), direction)
        np.testing.assert_array_equal(found.target, pixels(target[:1], target[1:]), direction)
        assert not found.overlap.any()


class OverBatch(layers.Layer):
    """A planted fault: statistics of all patches of the batch, with or without a gradient."""

    def __init__(self, stop=False, **kwargs):
        super().__init__(**kwargs)
        self.stop = stop

    def call(self, x):
        mean = ops.mean(x, axis=0)
        return x - (ops.stop_gradient(mean) if self.stop else mean)


def test_statistics_over_the_batch_are_found():
    result = check_leakage(build(parts=(OverBatch(),)), positions=[(1, 3), (3, 2)])
    assert len(result.maps["left", 2]) == 2
    assert not result.ok
    assert reasons(result) == {"other_image", "target", "outside"}
    assert "left 2 everywhere: depends on other images of the batch" in str(result)
    # In the image itself too every patch sees every other.
    assert all(m.overlap.all() for m in result.maps["left", 2].values())


def test_statistics_over_the_batch_without_a_gradient_are_found():
    result = check_leakage(build(parts=(OverBatch(stop=True),)), positions=[(1, 3)])
    assert reasons(result) == {"other_image"}


class FaintlyOverBatch(layers.Layer):
    """A planted fault: so faint that float32 loses its gradient, or hidden by a weight of zero."""

    def __init__(self, share, **kwargs):
        super().__init__(**kwargs)
        self.share = share

    def build(self, shape):
        start = keras.initializers.Constant(self.share)
        self.factor = self.add_weight((), initializer=start, name="factor")
        self.factor.trainable = self.share == 0

    def call(self, x):
        return x + self.factor * ops.mean(x, axis=0)


@pytest.mark.parametrize("share", [1e-35, 0.0])
def test_a_leak_that_is_faint_or_asleep_is_found(share):
    model = build(parts=(FaintlyOverBatch(share),))
    assert "other_image" in reasons(check_leakage(model, positions=[(1, 3)]))


def test_what_images_do_to_each_other_is_not_blamed_on_pixels_of_their_own(monkeypatch):
    original = MaskedContext.call

    def call(self, inputs):  # over the images, each position for itself
        return original(self, inputs - ops.mean(inputs, axis=0))

    monkeypatch.setattr(MaskedContext, "call", call)
    result = check_leakage(build(), positions=[(1, 3), (3, 2)])
    assert reasons(result) == {"other_image"} and not result.dead
    np.testing.assert_array_equal(
        result.maps["left", 2][1, 3].predicting, pixels((0, 1, 2), (3, 4))
    )


class SmoothedTargets(CPCModel):
    """A planted fault: targets that are means over neighbouring patches."""

    def _build_network(self, *augmentations):
        network, *parts = super()._build_network(*augmentations)
        targets = layers.AveragePooling2D(3, 1, padding="same")(network.output["targets"])
        return keras.Model(network.input, {**network.output, "targets": targets}), *parts


def test_targets_that_see_what_predicts_them_are_found():
    result = check_leakage(build(kind=SmoothedTargets), positions=[(1, 3)])
    assert reasons(result) == {"target"}
    found = result.maps["left", 2][1, 3]
    # The target is patch (1, 1); with its neighbours up to column 2 it shares two columns of
    # pixels, three patches high, with the patches of column 3.
    np.testing.assert_array_equal(found.target, pixels((0, 1, 2), (0, 1, 2)))
    np.testing.assert_array_equal(found.overlap, found.target & pixels((0, 1, 2), (3, 4)))
    assert result.leaks[0].num_pixels == found.overlap.sum() == 8 * 2


def test_batch_normalisation_is_found_in_training_and_let_pass_when_frozen():
    norm = layers.BatchNormalization(trainable=False)  # trainable it would be refused
    model = build(parts=(norm,))
    assert check_leakage(model, positions=[(1, 3)]).ok
    norm.trainable = True
    before = [np.asarray(v) for v in model.variables]
    result = check_leakage(model, positions=[(1, 3)])
    assert {"other_image", "target"} <= reasons(result)
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, np.asarray(variable))


def replace_parts(monkeypatch, change):
    """Let every block of a MaskedContext be built with a fault."""
    original = MaskedContext.build

    def build_with_fault(self, input_shape):
        original(self, input_shape)
        for block in self.blocks:
            change(block)

    monkeypatch.setattr(MaskedContext, "build", build_with_fault)


def zeros_below(block):
    block[2] = layers.ZeroPadding2D(((0, 1), (0, 0)))


def same_padding(block):
    # For two rows Keras's "same" puts its row of zeros at the bottom.
    block[2] = layers.ZeroPadding2D(0)
    block[3] = layers.Conv2D(block[3].filters, (2, 1), padding="same", activation="relu")
    block[3].build((None, None, None, block[3].filters))


@pytest.mark.parametrize("fault", [zeros_below, same_padding])
@pytest.mark.parametrize(("offset", "expected"), [(2, {"target", "outside"}), (3, {"outside"})])
def test_a_context_that_sees_the_row_below_is_found(monkeypatch, fault, offset, expected):
    replace_parts(monkeypatch, fault)
    # Three rows further down the target shares no pixel with the row below: still a fault.
    result = check_leakage(build(offsets=(offset,)))
    assert reasons(result) == expected
    assert not result.ok and not result.dead


def test_a_context_that_sees_the_row_below_without_a_gradient_is_found(monkeypatch):
    original = MaskedContext.call

    def call(self, inputs):
        below = ops.pad(inputs[:, 1:], ((0, 0), (0, 1), (0, 0), (0, 0)))
        return original(self, inputs) + ops.stop_gradient(below)

    monkeypatch.setattr(MaskedContext, "call", call)
    result = check_leakage(build())
    assert reasons(result) == {"no_gradient"}
    # Left of columns 5 .. 2 lie the columns 4 .. 1; the one of the last is cut off before.
    assert len(result.leaks) == 3 * 4


def mirrored(grid, direction):
    """A planted fault: left and right mixed up."""
    return rotate_grid(grid, {"left": "right", "right": "left"}.get(direction, direction))


def unturned(grid, direction):
    """A planted fault: a quarter turn left out."""
    return grid if direction == "left" else rotate_grid(grid, direction)


def transposed(grid, direction):
    """A planted fault: turned, but rows read as columns by a reshape."""
    if direction != "left":
        return rotate_grid(grid, direction)
    return ops.reshape(grid, (-1, grid.shape[2], grid.shape[1], grid.shape[3]))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(mirrored, {"target", "outside"}), (unturned, {"shape"}), (transposed, {"target", "outside"})],
)
def test_a_wrong_rotation_of_a_grid_that_is_not_square_is_found(monkeypatch, wrong, expected):
    monkeypatch.setattr(cpc_model, "rotate_grid", wrong)
    result = check_leakage(build(directions=("left", "down")))
    assert reasons(result) == expected
    assert {finding.direction for finding in result.leaks} == {"left"}


def test_an_overlap_that_was_agreed_to_is_reported_and_is_no_leak():
    result = check_leakage(build(offsets=(1, 2), allow_overlap=True))
    assert result.ok and not result.leaks
    # Two of four columns of pixels, in every prediction of offset 1 and in none of offset 2.
    assert {f.num_pixels for f in result.overlaps} == {2 * SIZE}
    assert {f.offset for f in result.overlaps} == {1}
    assert len(result.overlaps) == len(result.maps["left", 1])
    assert "were agreed to (allow_overlap=True)" in str(result)


def test_codes_that_patches_share_are_looked_into_as_well():
    def shared(**arguments):
        return CPCModel(
            (24, 28, 1),
            patch_encoder=valid_cnn((8, 8, 1), width=8),
            encoding="shared",
            patch_augmentation=None,
            image_augmentation=keras.layers.RandomFlip("horizontal"),
            context_blocks=1,
            context_filters=8,
            directions=("right",),
            **arguments,
        )

    assert check_leakage(shared(offsets=(2, 3)), positions=[(0, 1), (3, 2)]).ok
    result = check_leakage(shared(offsets=(1,), allow_overlap=True), positions=[(2, 3)])
    # Four of eight columns of pixels.
    assert result.ok and {f.num_pixels for f in result.overlaps} == {4 * 8}


def test_an_overlap_that_was_agreed_to_hides_no_other_leak(monkeypatch):
    replace_parts(monkeypatch, zeros_below)
    result = check_leakage(build(offsets=(1,), allow_overlap=True))
    assert not result.ok and "target" in reasons(result)


def test_a_model_of_zeros_is_dead():
    model = build(directions=("up", "right"))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    result = check_leakage(model)
    assert not result.ok and not result.leaks
    predictions = sum(len(maps) for maps in result.maps.values())
    for reason in ("dead_prediction", "dead_target"):
        assert sum(finding.reason == reason for finding in result.dead) == predictions
    assert "has no gradient for any pixel of its own patch" in str(result)


def test_an_encoder_of_a_constant_is_dead():
    last = layers.LayerNormalization(gamma_initializer="zeros", beta_initializer="ones")
    result = check_leakage(build(parts=(last,)))
    assert {finding.reason for finding in result.dead} == {"dead_prediction", "dead_target"}
    assert not result.ok


def test_augmentation_is_off_and_nothing_of_the_model_changes():
    # These would move and mix pixels: a check with them on would find what is not there.
    model = build(
        image_augmentation=layers.RandomFlip(seed=1),
        patch_augmentation=keras.Sequential([layers.RandomTranslation(0.5, 0.5, seed=2)]),
        parts=(layers.Dropout(0.1, seed=3),),
    )
    before = [np.asarray(v) for v in model.variables]
    weights = [v.path for v in model.variables]
    assert check_leakage(model).ok
    assert [v.path for v in model.variables] == weights
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, np.asarray(variable))


def test_the_batch_size_changes_nothing():
    model = build()
    places = [(0, 5), (2, 3), (3, 2)]
    one, many = (check_leakage(model, positions=places, batch_size=n) for n in (1, 64))
    assert sorted(one.maps["left", 2]) == places
    for position, found in one.maps["left", 2].items():
        np.testing.assert_array_equal(found.predicting, many.maps["left", 2][position].predicting)


def test_the_table_and_the_picture_say_what_was_found(tmp_path):
    result = check_leakage(build(offsets=(1, 2), directions=("left", "down"), allow_overlap=True))
    table = str(result).splitlines()
    assert table[0].split()[:4] == ["direction", "offset", "predictions", "pixels"]
    # One block sees 2 x 3 patches, 6 x 8 pixels; in a corner 1 x 2, 4 x 6.
    assert table[1].split() == ["down", "1", "18", "24..48", "8", "0", "0"]
    assert len(table) == 1 + 4 + 1
    for position in (None, (1, 2)):
        path = result.draw(tmp_path / "deeper" / "map.png", position=position)
        assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"no prediction from patch \(9, 9\) was checked"):
        result.draw(tmp_path / "map.png", position=(9, 9))


def test_a_long_list_of_leaks_is_cut_short(monkeypatch):
    replace_parts(monkeypatch, zeros_below)
    lines = str(check_leakage(build())).splitlines()
    assert len([line for line in lines if line.startswith("- left 2 from patch")]) == 8
    assert lines[-1].startswith("- and ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_draws": 0}, "num_draws must be at least 1. Received: 0"),
        ({"batch_size": 0}, "batch_size must be at least 1. Received: 0"),
        (
            {"positions": [(4, 0)]},
            r"in the grid of 4x6 patches, counted from 0. Received: \(4, 0\)",
        ),
        ({"positions": [(0, 1)]}, r"no prediction is made from the patches \[\(0, 1\)\]"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_leakage(build(), **arguments)


def test_another_model_is_refused():
    with pytest.raises(ValueError, match=r"takes a CPCModel. Received: .*Sequential"):
        check_leakage(keras.Sequential([keras.Input((3,)), layers.Dense(2)]))


def test_weights_that_are_not_finite_are_refused():
    model = build()
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(ValueError, match="not finite prove nothing"):
        check_leakage(model)


ON_JAX = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ImportError("tensorflow is out of reach")


sys.meta_path.insert(0, Refuse())
import cpc_keras

assert not any(name.startswith("cpc_keras.evaluation") for name in sys.modules)
assert "check_leakage" in dir(cpc_keras)

import keras

assert keras.backend.backend() == "jax"
norm = keras.layers.BatchNormalization(trainable=False)
encoder = keras.Sequential(
    [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(16), norm]
)
model = cpc_keras.CPCModel(
    (10, 12, 1),
    patch_encoder=encoder,
    patch_size=4,
    patch_stride=2,
    offsets=(2,),
    directions=("left",),
    context_blocks=1,
    context_filters=8,
)
at = [(1, 3), (2, 4)]
assert cpc_keras.check_leakage(model, positions=at).ok
norm.trainable = True
result = cpc_keras.check_leakage(model, positions=at[:1], num_draws=1)
assert {"other_image", "target"} <= {finding.reason for finding in result.leaks}
model.set_weights([0 * w for w in model.get_weights()])
norm.trainable = False
assert len(cpc_keras.check_leakage(model, positions=at, num_draws=1).dead) == 2 * len(at)
print("all is well")
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_it_runs_on_jax_where_tensorflow_cannot_be_imported():
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("all is well")
