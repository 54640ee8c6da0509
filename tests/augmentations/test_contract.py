"""What every layer of the folder keeps: one table, and nothing public is missing from it."""

import inspect
import math
from pathlib import Path

import keras
import numpy as np
import pytest

import cpc_keras.augmentations
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
    RandomImageLayer,
    RandomPosterize,
    RandomResizedCrop,
    RandomShift,
    RandomSubcrop,
    RandomToneCurve,
    patch_augmentation,
)

tf = pytest.importorskip("tensorflow")

SHAPE = (9, 8)


class RandomFlash(RandomImageLayer):
    """The base class, as a user extends it."""

    def augment(self, images):
        """Brighten."""
        return images + self.uniform(images, 0.0, 300.0)


def choice(seed):
    """A choice with one of Keras's layers in it."""
    return RandomChoice(
        [RandomPosterize((1, 4), seed=2), keras.layers.RandomInvert((1.0, 1.0), seed=3)], seed=seed
    )


def chance(seed):
    """A layer that is applied to some, with layers inside."""
    return RandomApply(keras.Sequential([RandomAffine(20, seed=4)]), 0.3, seed=seed)


# Name: how to build it with a seed. Every argument that is no default must differ from it, so that
# one which the config forgets is noticed.
LAYERS = {
    "HistogramEqualization": lambda seed: HistogramEqualization(),
    "RandomAffine": lambda seed: RandomAffine(
        20, shear=(0.3, 0.1), translation=0.2, fill_mode="constant", fill_value=9.0, seed=seed
    ),
    "RandomApply": chance,
    "RandomBlur": lambda seed: RandomBlur((0.5, 1.5), kernel_size=5, seed=seed),
    "RandomChannelDrop": lambda seed: RandomChannelDrop(0.7, seed=seed),
    "RandomChoice": choice,
    "RandomColorJitter": lambda seed: RandomColorJitter(
        0.2, contrast=0.4, saturation=0.3, hue=0.1, seed=seed
    ),
    "RandomElastic": lambda seed: RandomElastic(
        0.1, num_cells=2, shear=0.2, fill_mode="constant", fill_value=9.0, seed=seed
    ),
    "RandomEnhance": lambda seed: RandomEnhance("contrast", (0.5, 1.5), seed=seed),
    "RandomGrayscale": lambda seed: RandomGrayscale(0.4, seed=seed),
    "RandomImageLayer": lambda seed: RandomFlash(seed=seed),
    "RandomPosterize": lambda seed: RandomPosterize((2, 7), seed=seed),
    "RandomResizedCrop": lambda seed: RandomResizedCrop(
        (0.2, 0.9), aspect_ratio=(0.5, 1.5), seed=seed
    ),
    "RandomShift": lambda seed: RandomShift(2, seed=seed),
    "RandomSubcrop": lambda seed: RandomSubcrop(6, fill_mode="constant", fill_value=9.0, seed=seed),
    "RandomToneCurve": lambda seed: RandomToneCurve(
        0.05, slope=(0.4, 3.0), num_insertions=3, seed=seed
    ),
}
NOT_RANDOM = {"HistogramEqualization"}
COLOR_ONLY = {"RandomChannelDrop", "RandomGrayscale"}
# The other stacks are of layers of the table alone.
STACKS = {"cpc_v2": lambda seed: patch_augmentation("cpc_v2", (*SHAPE, 3), seed=seed)}
CASES = pytest.mark.parametrize("name", [*LAYERS, *STACKS])


def build(name, seed=1):
    """One of the layers or stacks."""
    return {**LAYERS, **STACKS}[name](seed)


def run(layer, images, **kwargs):
    """Augmented images as NumPy."""
    return keras.ops.convert_to_numpy(layer(images, **kwargs))


def images(count=64, channels=3, *, equal=False):
    """Whole-numbered pixels, each image of its own colours unless `equal`."""
    drawn = np.random.default_rng(0).integers(0, 256, (count, *SHAPE, channels))
    return (np.repeat(drawn[:1], count, axis=0) if equal else drawn).astype("float32")


def test_no_public_layer_is_missing_from_the_table():
    public = {
        name
        for name in cpc_keras.augmentations.__all__
        if inspect.isclass(getattr(cpc_keras.augmentations, name))
    }
    assert public == set(LAYERS)
    # A file whose layer is not exported would be missed otherwise.
    files = Path(cpc_keras.augmentations.__file__).parent.glob("random_*.py")
    assert {"".join(word.title() for word in path.stem.split("_")) for path in files} <= public
    page = Path(__file__).parents[2] / "docs" / "augmentations.md"
    assert [name for name in public if name not in page.read_text(encoding="utf-8")] == []


@CASES
def test_equal_images_come_out_different(name):
    result = run(build(name), images(equal=True), training=True)
    different = len(np.unique(result.reshape(len(result), -1), axis=0))
    assert different == 1 if name in NOT_RANDOM else different > 1
    assert (result != images(equal=True)).any()


@CASES
def test_an_image_does_not_depend_on_its_neighbours(name):
    # Two batches that share the first half: what becomes of it must be the same.
    first = images()
    second = np.concatenate([first[:32], 255 - first[32:]])
    results = [run(build(name), batch, training=True)[:32] for batch in (first, second)]
    np.testing.assert_allclose(*results, atol=1e-3)


@CASES
def test_nothing_happens_outside_training(name):
    layer = build(name)
    np.testing.assert_array_equal(run(layer, images(), training=False), images())
    np.testing.assert_array_equal(run(layer, images()), images())


@CASES
def test_one_seed_gives_one_result_and_another_seed_or_call_gives_another(name):
    layer = build(name)
    first, anew = (run(layer, images(), training=True) for _ in range(2))
    again, other = (run(build(name, seed), images(), training=True) for seed in (1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first == other).all() == (first == anew).all() == (name in NOT_RANDOM)


@CASES
def test_a_layer_comes_back_from_its_config(name):
    layer = build(name)
    config = keras.saving.serialize_keras_object(layer)
    custom = {"RandomFlash": RandomFlash}
    again = keras.saving.deserialize_keras_object(config, custom_objects=custom)
    assert keras.saving.serialize_keras_object(again) == config
    np.testing.assert_array_equal(
        run(again, images(), training=True), run(build(name), images(), training=True)
    )


@pytest.mark.parametrize("name", LAYERS)
def test_every_argument_is_in_the_config_and_none_is_left_at_its_default(name):
    layer = build(name)
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    for parameter in parameters:
        if parameter.kind == parameter.VAR_KEYWORD or parameter.name == "self":
            continue
        assert parameter.name in config
        assert config[parameter.name] != parameter.default


@CASES
def test_a_saved_stack_loads_and_draws_the_same(name, tmp_path):
    inputs = keras.Input((*SHAPE, 3))
    model = keras.Sequential([inputs, build(name), keras.layers.Flatten()])
    model.save(tmp_path / "stack.keras")
    custom = {"RandomFlash": RandomFlash}
    loaded = keras.saving.load_model(tmp_path / "stack.keras", custom_objects=custom)
    expected = run(build(name), images(), training=True).reshape(64, -1)
    np.testing.assert_array_equal(run(loaded, images(), training=True), expected)


@CASES
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_values_stay_in_range_with_any_number_of_channels(name, channels):
    layer = patch_augmentation(name, (*SHAPE, channels), seed=1) if name in STACKS else build(name)
    batch = images(channels=channels)
    batch[0], batch[1], batch[2] = 0, 255, 77.5
    result = run(layer, batch, training=True)
    assert result.shape == batch.shape
    assert result.dtype == "float32"
    assert np.isfinite(result).all()
    assert result.min() >= 0
    assert result.max() <= 255
    if channels == 1 and name in COLOR_ONLY:
        np.testing.assert_array_equal(result, batch)


@CASES
def test_a_batch_of_any_size_is_augmented(name):
    layer = build(name)
    for count in (1, 2, 7):
        assert run(layer, images(count), training=True).shape == (count, *SHAPE, 3)


@pytest.mark.parametrize("name", LAYERS)
def test_whole_numbers_stay_whole(name):
    batch = images().astype("uint8")
    result = build(name)(batch, training=True)
    assert keras.backend.standardize_dtype(result.dtype) == "uint8"
    of_floats = run(build(name), images(), training=True)
    # Rounded, not cut off.
    difference = np.abs(keras.ops.convert_to_numpy(result).astype("float32") - of_floats)
    assert difference.max() <= 0.51


@CASES
def test_in_a_graph_with_a_batch_of_unknown_size_images_are_drawn_apart(name):
    layer = build(name)
    signature = [tf.TensorSpec((None, *SHAPE, 3), tf.float32)]
    graph = tf.function(lambda x: layer(x, training=True), input_signature=signature)
    result = graph(images(equal=True)).numpy()
    eager = run(build(name), images(equal=True), training=True)
    np.testing.assert_allclose(result, eager, atol=1e-2)


@pytest.mark.parametrize("name", LAYERS)
def test_a_pipeline_augments_within_map(name):
    layer = build(name)
    data = tf.data.Dataset.from_tensor_slices(images(equal=True)).batch(24)
    data = data.map(lambda x: layer(x, training=True), num_parallel_calls=2)
    result = np.concatenate(list(data.as_numpy_iterator()))
    assert result.shape == (64, *SHAPE, 3)
    if name not in NOT_RANDOM:
        assert len(np.unique(result.reshape(64, -1), axis=0)) > 1


@CASES
def test_half_precision_gives_the_same_to_its_eight_bits(name):
    expected = run(build(name), images(), training=True)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = build(name)(images(), training=True)
    finally:
        keras.config.set_dtype_policy(policy)
    assert keras.backend.standardize_dtype(result.dtype) == "bfloat16"
    result = keras.ops.convert_to_numpy(keras.ops.cast(result, "float32"))
    # One layer rounds once: half of the step between 128 and 256. Layers in a row round again, and
    # some of Keras's then decide otherwise.
    if name in LAYERS:
        assert np.abs(result - expected).max() <= 0.501
    assert result.min() >= 0
    assert result.max() <= 255


@CASES
def test_compilation_is_not_turned_off(name):
    model = keras.Sequential([keras.Input((*SHAPE, 3)), build(name)])
    assert all(layer.supports_jit for layer in model._flatten_layers())


def test_dealing_gives_every_image_every_layer_with_the_same_chance():
    layers = [RandomEnhance("brightness", (k / 10, k / 10), seed=k) for k in (1, 3, 6)]
    layer = RandomChoice(layers, seed=0)
    batch = tf.fill((5, 1, 1, 1), 100.0)
    deal = tf.function(lambda x: layer(x, training=True))
    rounds = np.stack([deal(batch).numpy().ravel() for _ in range(300)])
    for value in (10, 30, 60):
        share = np.isclose(rounds, value, atol=1e-3).mean(axis=0)
        # A third of 300 draws each; six standard deviations.
        assert (np.abs(share - 1 / 3) < 6 * math.sqrt(2 / 9 / 300)).all()
    assert np.isin(rounds.round(), (10, 30, 60)).all()


@pytest.mark.parametrize("rate", [0.2, 0.8])
@pytest.mark.parametrize("graph", [False, True])
def test_a_chance_is_independent_from_image_to_image(rate, graph):
    layer = RandomApply(keras.layers.RandomInvert((1.0, 1.0)), rate, seed=0)
    apply = lambda x: layer(x, training=True)  # noqa: E731
    if graph:
        signature = [tf.TensorSpec((None, 1, 1, 2), tf.float32)]
        apply = tf.function(apply, input_signature=signature)
    # Each image tells its number, to see that none takes another's place.
    batch = np.stack([np.arange(4000) % 100, np.arange(4000) // 100], axis=-1).astype("float32")
    result = np.asarray(apply(batch[:, None, None])).reshape(batch.shape)
    changed = result != batch
    np.testing.assert_array_equal(result, np.where(changed, 255 - batch, batch))
    drawn = changed.all(axis=-1).astype("float64")
    assert (changed.any(axis=-1) == changed.all(axis=-1)).all()
    assert abs(drawn.mean() - rate) < 6 * math.sqrt(0.2 * 0.8 / 4000)
    # Neighbours know nothing of each other.
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 6 / math.sqrt(4000)


def test_how_many_are_drawn_of_a_batch_is_binomial():
    layer = RandomApply(keras.layers.RandomInvert((1.0, 1.0)), 0.3, seed=0)
    batch = tf.zeros((10, 1, 1, 1))
    deal = tf.function(lambda x: layer(x, training=True))
    counts = [int((deal(batch).numpy() > 0).sum()) for _ in range(1000)]
    assert abs(np.mean(counts) - 3) < 6 * math.sqrt(2.1 / 1000)
    assert 0.7 < np.var(counts) / 2.1 < 1.3


def test_of_a_large_batch_few_more_than_those_drawn_see_the_layer():
    class Seen(keras.layers.Layer):
        def call(self, inputs, training=False):
            sizes.append(inputs.shape[0])
            return inputs

    sizes = []
    RandomApply(Seen(), 0.2)(np.zeros((1568, 1, 1, 1)), training=True)
    assert sizes == [math.ceil(1568 * 0.2 + 6 * math.sqrt(1568 * 0.16)) + 4] == [413]


def test_untouched_images_pass_exactly():
    layer = RandomApply(RandomAffine(30), 0.0)
    batch = np.random.default_rng(0).uniform(0, 255, (8, *SHAPE, 3)).astype("float32")
    np.testing.assert_array_equal(run(layer, batch, training=True), batch)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: RandomAffine(-1), "to both sides"),
        (lambda: RandomAffine(fill_mode="reflect"), 'must be "nearest" or "constant"'),
        (lambda: RandomApply("layer"), "must be a keras.layers.Layer"),
        (lambda: RandomApply(RandomShift(1), 1.5), "rate must be in"),
        (lambda: RandomChoice([]), "one or more keras.layers.Layer"),
        (lambda: RandomChoice([RandomShift(1), None]), "one or more keras.layers.Layer"),
        (lambda: RandomColorJitter(hue=2), "hue must be in"),
        (lambda: RandomElastic(-0.1), "displacement and shear must be >= 0"),
        (lambda: RandomElastic(num_cells=0), "num_cells must be a whole number >= 1"),
        (lambda: RandomElastic(fill_mode="wrap"), 'must be "nearest" or "constant"'),
        (lambda: RandomEnhance("gamma"), "kind must be one of"),
        (lambda: RandomEnhance("color", (1.9, 0.1)), "smallest, largest"),
        (lambda: RandomGrayscale(-1), "rate must be in"),
        (lambda: RandomImageLayer()(np.zeros((1, 2, 2, 1)), training=True), "must define augment"),
        (lambda: RandomPosterize((0, 8)), "bits must be"),
        (lambda: RandomSubcrop(0), "crop_size must be a whole number >= 1"),
        (lambda: RandomSubcrop(9)(np.zeros((1, 8, 9, 1)), training=True), "Use crop_size <= 8"),
        (lambda: RandomSubcrop(7, fill_mode="reflect"), 'must be "nearest" or "constant"'),
        (lambda: RandomToneCurve(0.5), r"shift must be in \[0, 0.5\)"),
        (lambda: RandomToneCurve(0.1, slope=(0.9, 2.0)), "smaller shift"),
        (lambda: RandomToneCurve(num_insertions=0), "num_insertions must be"),
        (lambda: patch_augmentation("cpc_v3", (8, 8, 3)), "must be one of"),
    ],
)
def test_what_cannot_be_is_refused_with_a_way_out(call, words):
    with pytest.raises((ValueError, NotImplementedError), match=words):
        call()
