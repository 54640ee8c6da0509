"""CPCModel as a Keras model: data in every form, training, saving, callbacks."""

import inspect
import json

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.augmentations import RandomChannelDrop, RandomShift

tf = pytest.importorskip("tensorflow")

SHAPE = (16, 20, 1)


def build(shape=SHAPE, *, compiled=True, **kwargs):
    arguments = {
        "patch_augmentation": "light",
        "patch_encoder": "tiny",
        "patch_size": 4,
        "patch_stride": 2,
        "offsets": (2,),
        "directions": ("down",),
        "context_blocks": 1,
        "context_filters": 16,
        **kwargs,
    }
    model = CPCModel(shape, **arguments)
    if compiled:
        model.compile(optimizer=keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def some_images(count=8, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), "uint8")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A model that learnt one batch by heart, in graph mode, with the usual callbacks."""
    path = tmp_path_factory.mktemp("fitted") / "best.keras"
    model = build(compiled=False, patch_augmentation=None, directions=("down", "left"))
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    images = some_images(6)
    history = model.fit(
        tf.data.Dataset.from_tensors(images).repeat(8),
        epochs=6,
        verbose=0,
        validation_data=(images, np.zeros(6)),
        callbacks=[
            keras.callbacks.EarlyStopping("val_loss", patience=6, restore_best_weights=True),
            keras.callbacks.ModelCheckpoint(path, "val_loss", save_best_only=True),
            keras.callbacks.TerminateOnNaN(),
        ],
    ).history
    return model, images, history, path


def test_the_history_holds_the_three_numbers_and_their_validation(fitted):
    names = {"loss", "accuracy", "mutual_information"}
    assert set(fitted[2]) == names | {f"val_{name}" for name in names}


def test_one_batch_can_be_learnt_by_heart(fitted):
    history = fitted[2]
    assert history["loss"][-1] < 0.5 * np.log(6 * 63)
    assert history["accuracy"][-1] > 0.5


def assert_same_model(model, other, images):
    np.testing.assert_array_equal(
        np.asarray(model.encoder(images)), np.asarray(other.encoder(images))
    )
    outputs, others = model.network(images), other.network(images)
    for name, value in outputs.items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(others[name]))


def test_evaluate_is_the_same_before_and_after_saving_and_loading(fitted, tmp_path):
    model, images, _, _ = fitted
    before = model.evaluate(images, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_same_model(model, loaded, images)
    assert loaded.evaluate(images, verbose=0, return_dict=True) == before
    assert loaded.optimizer.iterations == model.optimizer.iterations


def test_the_checkpoint_holds_the_best_weights(fitted):
    model, images, history, path = fitted
    best = keras.saving.load_model(path)
    assert_same_model(model, best, images)
    loss = model.evaluate(images, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(min(history["val_loss"]), rel=1e-5)


def forms():
    images = some_images()
    labels = np.arange(8)
    floats = images.astype("float32")
    dicts = {"image": images, "label": labels, "index": np.arange(8)}
    strings = {"image": images, "label": np.array([f"class {i}" for i in labels])}
    batches = tf.data.Dataset.from_tensor_slices

    def generator():
        yield floats[:4]
        yield floats[4:]

    spec = tf.TensorSpec((None, *SHAPE), tf.float32)
    return {
        "uint8 array": (images, {}),
        "float array": (floats, {}),
        "float64 array": (floats.astype("float64"), {}),
        "array and labels": (images, {"y": labels}),
        "array and other labels": (images, {"y": labels[::-1] * 7}),
        "dict of arrays": (dicts, {}),
        "tensor": (tf.constant(images), {}),
        "bare dataset": (batches(images).batch(4), {}),
        "dataset of pairs": (batches((images, labels)).batch(4), {}),
        "dataset of dicts": (batches(dicts).batch(4), {}),
        "dataset of dicts with strings": (batches(strings).batch(4), {}),
        "dataset of dicts in pairs": (batches(({"image": images}, labels)).batch(4), {}),
        "dataset of floats": (batches(floats).batch(4), {}),
        "generator": (tf.data.Dataset.from_generator(generator, output_signature=spec), {}),
    }


@pytest.fixture(scope="module")
def plain():
    model = build(patch_augmentation=None)
    return model, model.get_weights()


@pytest.fixture(scope="module")
def plain_history(plain):
    return history_of(plain, *forms()["uint8 array"])


def history_of(plain, data, arguments):
    model, weights = plain
    model.set_weights(weights)
    size = {} if isinstance(data, tf.data.Dataset) else {"batch_size": 4}
    return model.fit(data, epochs=2, shuffle=False, verbose=0, **size, **arguments).history


@pytest.mark.parametrize("form", list(forms()))
def test_every_form_of_the_data_trains_alike_and_labels_change_nothing(plain, plain_history, form):
    history = history_of(plain, *forms()[form])
    assert history["loss"][0] != history["loss"][1]  # it did train
    for name, values in plain_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_images_of_any_number_of_channels_train(channels):
    shape = (16, 20, channels)
    model = build(shape)
    images = some_images(shape=shape)
    assert np.isfinite(model.fit(images, verbose=0).history["loss"]).all()
    assert model.encoder(images).shape == (8, 64)


def test_augmentation_is_on_in_training_and_off_at_evaluation():
    model = build((16, 20, 3), seed=1, image_augmentation=keras.layers.RandomBrightness(0.5))
    images = some_images(shape=(16, 20, 3))
    first, second = (np.asarray(model(images, training=True)["targets"]) for _ in range(2))
    assert (first != second).any()
    first, second = (model.evaluate(images, verbose=0) for _ in range(2))
    assert first == second
    plain = build((16, 20, 3), patch_augmentation=None)
    plain.set_weights(without_seeds(model))
    np.testing.assert_array_equal(
        np.asarray(model(images)["targets"]), np.asarray(plain(images)["targets"])
    )


@pytest.mark.parametrize("independent", [False, True])
def test_targets_come_from_the_same_copy_of_the_image_or_from_one_of_its_own(independent):
    # The augmentation turns about half of the images black: which, can be read off the outputs.
    blackout = keras.layers.Dropout(0.5, noise_shape=(None, 1, 1, 1), seed=3)
    model = build(
        patch_augmentation=None, image_augmentation=blackout, independent_targets=independent
    )
    images = some_images(64)
    black = model(np.zeros_like(images))
    outputs = model(images, training=True)
    target_is_black, context_is_black = (
        np.isclose(outputs[name], black[name], atol=1e-6).all(axis=(1, 2, 3))
        for name in ("targets", "down_2")
    )
    assert 16 < target_is_black.sum() < 48 and 16 < context_is_black.sum() < 48
    if independent:
        assert 16 < (target_is_black & ~context_is_black).sum() * 2 < 48
    else:
        np.testing.assert_array_equal(target_is_black, context_is_black)
    # No augmentation at evaluation: one copy, whichever it is.
    plain = build(patch_augmentation=None)
    plain.set_weights(without_seeds(model))
    np.testing.assert_array_equal(model(images)["targets"], plain(images)["targets"])


def without_seeds(model):
    return [w.numpy() for w in model.weights if "seed" not in w.path]


def test_each_patch_is_augmented_alone():
    class Spy(keras.layers.Layer):
        def call(self, inputs, training=False):
            seen.append((tuple(inputs.shape), training))
            return inputs

    seen = []
    model = build(patch_augmentation=Spy())
    model(some_images(3), training=True)
    assert seen[-1] == ((3 * 7 * 9, 4, 4, 1), True)


def test_the_default_augmentation_draws_shift_and_channel_apart():
    model = build((16, 20, 3), seed=3)
    (augmentation,) = (x for x in model.network.layers if x.name == "patch_augmentation")
    y, x, c = np.meshgrid(np.arange(4), np.arange(4), np.arange(3), indexing="ij")
    patches = np.broadcast_to((100 * c + 10 * y + x).astype("float32"), (400, 4, 4, 3))
    result = np.asarray(augmentation(patches, training=True))[:, 2, 2, 0].astype(int)
    drawn = np.stack([result // 100, result // 10 % 10, result % 10])
    correlation = np.abs(np.corrcoef(drawn) - np.eye(3))
    assert correlation.max() < 0.3
    assert [len(set(row)) for row in drawn] == [3, 3, 3]


def test_grey_patches_are_shifted_and_large_patches_by_a_sixteenth():
    model = build((64, 64, 3), patch_size=32, patch_stride=8, offsets=(4,), compiled=False)
    (augmentation,) = (x for x in model.network.layers if x.name == "patch_augmentation")
    assert [type(x) for x in augmentation.layers] == [RandomShift, RandomChannelDrop]
    assert augmentation.layers[0].max_shift == 2
    (augmentation,) = (
        x for x in build(compiled=False).network.layers if x.name == "patch_augmentation"
    )
    assert [(type(x), x.max_shift) for x in augmentation.layers] == [(RandomShift, 1)]


@keras.saving.register_keras_serializable("cpc_keras_tests")
class FlatEncoder(keras.Model):
    """A user's subclassed patch encoder."""

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(dim, "relu")

    def call(self, inputs):
        return self.dense(self.flatten(inputs) / 255.0)

    def get_config(self):
        return {"dim": self.dim, "name": self.name}


def convolutional_encoder():
    """Maps [h, w, d]: they are averaged."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(12, 3, activation="relu"),
        ],
        name="users_encoder",
    )


OTHER_THAN_DEFAULT = {
    "image_shape": (12, 20, 3),
    "patch_encoder": convolutional_encoder,
    "patch_size": 4,
    "patch_stride": 2,
    "offsets": (4, 1),
    "directions": ("right", "down"),
    "score": "cosine",
    "target_dim": 7,
    "scale": 0.3,
    "candidates": "sampled",
    "num_negatives": 9,
    "num_anchors": 20,
    "gather_candidates": False,
    "context_network": "row_gru",
    "context_blocks": 2,
    "context_filters": 10,
    "shared_context": False,
    "features": "contexts",
    "pooling": "2x3",
    "patch_augmentation": lambda: RandomShift(1, seed=5),
    "image_augmentation": lambda: keras.layers.RandomFlip("horizontal", seed=6),
    "independent_targets": True,
    "allow_overlap": True,
    "chunk_size": 3,
    "log_terms": True,
    "seed": 4,
}


def arguments_of_other_model():
    return {k: v() if callable(v) else v for k, v in OTHER_THAN_DEFAULT.items()}


def test_every_argument_comes_back_from_the_config_and_from_the_file(tmp_path):
    parameters = inspect.signature(CPCModel).parameters
    names = {name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    # Patches that are not cut out are not augmented: it has a test of its own.
    names.remove("encoding")
    # Of named encoders only: tests/encoders/test_encoders.py.
    names -= {"encoder_width", "encoder_depth", "normalization"}
    assert names == set(OTHER_THAN_DEFAULT), "say here what the new argument's other value is"
    arguments = arguments_of_other_model()
    for name in names:
        assert arguments[name] != parameters[name].default, name
    model = CPCModel(**arguments, name="other")
    config = keras.saving.serialize_keras_object(model)
    assert json.loads(json.dumps(config)) == json.loads(json.dumps(config))
    model.compile(optimizer="sgd", run_eagerly=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.get_config()
    for name in names:
        if not isinstance(arguments[name], keras.layers.Layer):
            assert again[name] == arguments[name], name
        else:
            expected = keras.saving.serialize_keras_object(arguments[name])
            assert plainly(again[name]) == plainly(expected), name
    assert loaded.name == "other"
    images = some_images(4, shape=(12, 20, 3))
    assert_same_model(model, loaded, images)
    assert model.evaluate(images, verbose=0) == loaded.evaluate(images, verbose=0)
    # Both draw alike in training: the seeds of the layers came back as well.
    first, second = (m(images, training=True)["targets"] for m in (model, loaded))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def plainly(config):
    """As JSON, less the shapes a layer was built with: a loaded one knows them."""
    if isinstance(config, dict):
        return {k: plainly(v) for k, v in config.items() if k != "build_config"}
    return [plainly(v) for v in config] if isinstance(config, list | tuple) else config


def test_a_subclassed_patch_encoder_trains_saves_and_loads(tmp_path):
    model = build(patch_encoder=FlatEncoder(11))
    images = some_images()
    model.fit(images, verbose=0)
    assert model.encoder(images).shape == (8, 11)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.patch_encoder, FlatEncoder)
    assert_same_model(model, loaded, images)


def test_weights_alone_save_and_load(tmp_path):
    model, other = build(compiled=False), build(compiled=False)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert_same_model(model, other, some_images())


def test_the_layers_that_train_are_encoder_context_targets_and_predictions():
    model = build(compiled=False)
    parts = [model.patch_encoder, model.context_network]
    parts += [model.network.get_layer(name) for name in ("targets", "predict_down")]
    expected = {id(w) for part in parts for w in part.trainable_weights}
    assert {id(w) for w in model.trainable_weights} == expected
    assert len(model.trainable_weights) == len(expected)


def test_the_encoder_of_another_size_shares_the_weights():
    model = build(compiled=False)
    other = model.image_encoder((8, 30, 1), pooling="max", return_grid=True)
    expected = {id(w) for w in model.patch_encoder.weights}
    assert {id(w) for w in other.weights} == {id(w) for w in model.encoder.weights} == expected
    outputs = other(some_images(2, (8, 30, 1)))
    assert outputs["grid"].shape == (2, 3, 14, 64)
    np.testing.assert_array_equal(
        np.asarray(outputs["features"]), np.asarray(outputs["grid"]).max((1, 2))
    )


@pytest.mark.parametrize("features", ["codes", "contexts"])
def test_the_encoder_is_of_stock_layers_alone(features):
    model = build(compiled=False, features=features, directions=("up", "right"))
    layers = [*model.encoder.operations, *model.encoder._flatten_layers(include_self=False)]
    assert len(layers) > 10
    assert {type(layer).__module__.split(".")[0] for layer in layers} == {"keras"}


def test_features_of_contexts_lie_where_their_codes_lie():
    directions = ("down", "up", "left", "right")
    model = build(compiled=False, features="contexts", directions=directions)
    images = some_images(2)
    result = model.image_encoder(SHAPE, return_grid=True)(images)
    codes = np.asarray(
        build_codes(model.patch_encoder, images.astype("float32")).reshape(2, 7, 9, -1)
    )
    parts = []
    for turns in (0, 2, 1, -1):
        context = model.context_network(np.rot90(codes, turns, axes=(1, 2)).copy())
        parts.append(np.rot90(np.asarray(context), -turns, axes=(1, 2)))
    expected = np.concatenate(parts, -1)
    np.testing.assert_allclose(np.asarray(result["grid"]), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        np.asarray(result["features"]), expected.mean((1, 2)), rtol=1e-4, atol=1e-4
    )


def build_codes(patch_encoder, images):
    patches = [
        image[2 * i : 2 * i + 4, 2 * j : 2 * j + 4]
        for image in images
        for i in range(7)
        for j in range(9)
    ]
    return np.asarray(patch_encoder(np.stack(patches)))


def test_predict_returns_targets_and_predictions():
    outputs = build(directions=("down", "left")).predict(some_images(3), verbose=0)
    assert {name: x.shape for name, x in outputs.items()} == {
        "targets": (3, 7, 9, 64),
        "down_2": (3, 5, 9, 64),
        "left_2": (3, 7, 7, 64),
    }


def test_summary_shows_the_network(capsys):
    build(compiled=False).summary()
    assert "patch_grid" in capsys.readouterr().out


def test_the_training_step_is_traced_once():
    # Variables that it makes itself, an optimizer's above all, would have it traced twice.
    model = build(patch_encoder="mlp", compiled=False)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    steps = []
    step = model.train_step
    model.train_step = lambda *args: steps.append(args) or step(*args)
    model.fit(some_images(8), batch_size=4, epochs=2, verbose=0)
    assert len(steps) == 1


def test_a_step_compiled_by_xla_computes_the_same():
    images = some_images()
    model = build(directions=("down", "left"), patch_encoder="mlp", candidates="same_position")
    expected = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=True)
    assert model.jit_compile  # Keras may know better, and says so in a warning alone
    compiled = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    assert compiled == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_default_augmentation_and_sampled_candidates_train_under_xla():
    model = build(compiled=False, seed=0, candidates="sampled", num_negatives=20)
    model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=True)
    assert model.jit_compile
    history = model.fit(some_images(16), batch_size=8, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])
