"""No prediction sees its target: proofs by gradient, and by planted faults that they find."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel, MaskedContext
from cpc_keras.ops import DIRECTIONS, extract_patches

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow"
)

SHAPE, SIZE, STRIDE = (16, 20, 1), 4, 2
ROWS, COLUMNS = 7, 9
# How the rows and columns of an array turn when the direction is made to point down.
QUARTER_TURNS = {"down": 0, "up": 2, "left": 1, "right": -1}


def build(**kwargs):
    arguments = {
        "patch_augmentation": "light",
        "patch_encoder": "tiny",
        "patch_size": SIZE,
        "patch_stride": STRIDE,
        "offsets": (2, 3),
        "context_blocks": 1,
        "context_filters": 8,
        "target_dim": 8,
        **kwargs,
    }
    model = CPCModel(SHAPE, **arguments)
    # Random biases too: zeros would hide paths.
    rng = np.random.default_rng(0)
    weights = [w + rng.normal(size=w.shape, scale=0.1) for w in model.get_weights()]
    model.set_weights(weights)
    return model


def pixels(patch):
    """The pixels of the patch in row i and column j, as a mask of the image."""
    mask = np.zeros(SHAPE[:2], bool)
    i, j = patch
    mask[i * STRIDE : i * STRIDE + SIZE, j * STRIDE : j * STRIDE + SIZE] = True
    return mask


def faults(model, direction, offset):
    """Names of what is wrong with the predictions of one direction and offset."""
    places = np.stack(np.mgrid[:ROWS, :COLUMNS], -1)
    places = np.rot90(places, QUARTER_TURNS[direction])
    rows, columns = places.shape[:2]
    positions = [(r, c) for r in range(rows - offset) for c in range(columns)]
    # One copy of the image for each position: gradients of all positions in one go.
    image = np.random.default_rng(1).uniform(0, 255, SHAPE).astype("float32")
    images = tf.constant(np.repeat(image[None], len(positions), 0))
    with tf.GradientTape() as tape:
        tape.watch(images)
        predictions = model.network(images, training=False)[f"{direction}_{offset}"]
        index = [(n, r, c) for n, (r, c) in enumerate(positions)]
        total = tf.reduce_sum(tf.gather_nd(predictions, index) * np.linspace(1, 2, 8))
    assert predictions.shape[1:3] == (rows - offset, columns)
    gradients = np.abs(tape.gradient(total, images).numpy()).sum(-1)
    found = set()
    for gradient, (r, c) in zip(gradients, positions, strict=True):
        seen = np.any([pixels(p) for row in places[: r + 1] for p in row], axis=0)
        if gradient[pixels(places[r + offset, c])].any():
            found.add("sees its target")
        if gradient[~seen].any():
            found.add("sees below")
        if not gradient[pixels(places[r, c])].any():
            found.add("dead")
    return found


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.mark.parametrize("offset", [2, 3])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_prediction_sees_its_context_and_neither_its_target_nor_what_lies_below(
    model, direction, offset
):
    assert faults(model, direction, offset) == set()


def test_the_check_finds_an_offset_whose_patches_overlap():
    model = build(offsets=(1,), allow_overlap=True, directions=("left", "down"))
    assert faults(model, "left", 1) == {"sees its target"}
    assert faults(model, "down", 1) == {"sees its target"}


class PaddedBelow(MaskedContext):
    """A planted fault: the row of zeros at the bottom, so each context sees the row below."""

    def build(self, input_shape):
        super().build(input_shape)
        for block in self.blocks:
            block[2] = keras.layers.ZeroPadding2D(((0, 1), (0, 0)))


def test_the_check_finds_a_context_without_its_mask():
    model = build(
        directions=("up",),
        offsets=(2,),
        context_network=PaddedBelow(1, filters=8),
        context_blocks=None,
        context_filters=None,
    )
    assert "sees below" in faults(model, "up", 2)


def test_the_check_finds_a_model_that_is_dead():
    model = build(directions=("down",), offsets=(2,))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    assert faults(model, "down", 2) == {"dead"}


def test_no_context_depends_on_codes_of_the_rows_below(model):
    rng = np.random.default_rng(2)
    for rows, columns in ((ROWS, COLUMNS), (COLUMNS, ROWS)):
        codes = rng.normal(size=(1, rows, columns, 64)).astype("float32")
        codes = tf.constant(np.repeat(codes, rows, 0))
        with tf.GradientTape() as tape:
            tape.watch(codes)
            contexts = model.context_network(codes)
            total = tf.reduce_sum(tf.gather_nd(contexts, [(r, r) for r in range(rows)]))
        gradients = np.abs(tape.gradient(total, codes).numpy()).sum((2, 3))
        assert not np.triu(gradients, 1).any()
        assert np.diag(gradients).all()


@pytest.mark.parametrize("normalization", ["group", "layer", "none"])
def test_a_patch_is_encoded_alone(normalization):
    model = build(normalization=normalization, directions=("down",), offsets=(2,))
    rng = np.random.default_rng(3)
    patches = rng.uniform(0, 255, (12, SIZE, SIZE, 1)).astype("float32")
    before = np.asarray(model.patch_encoder(patches, training=True))
    others = rng.uniform(0, 50, patches.shape).astype("float32")
    others[4] = patches[4]
    after = np.asarray(model.patch_encoder(others, training=True))
    np.testing.assert_array_equal(after[4], before[4])
    assert (after[3] != before[3]).any()


def test_the_codes_of_the_encoder_are_those_of_its_patches(model):
    """The way of a patch through reshapes: position (i, j) holds the code of patch (i, j)."""
    images = np.random.default_rng(4).uniform(0, 255, (3, *SHAPE)).astype("float32")
    grid = model.image_encoder(SHAPE, return_grid=True)(images)["grid"]
    patches = np.asarray(extract_patches(images, patch_size=SIZE, patch_stride=STRIDE))
    for b, i, j in ((0, 0, 0), (1, 2, 8), (2, 6, 1)):
        code = model.patch_encoder(patches[b, i, j][None])[0]
        np.testing.assert_allclose(grid[b, i, j], code, rtol=1e-4, atol=1e-5)
