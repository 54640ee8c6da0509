"""What CPCModel refuses and warns of, each with its message."""

import warnings

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel, MaskedContext
from cpc_keras.augmentations import RandomShift
from cpc_keras.models.check_images import check_images

tf = pytest.importorskip("tensorflow")

SHAPE = (16, 20, 1)
TINY = {
    "patch_augmentation": "light",
    "patch_encoder": "tiny",
    "patch_size": 4,
    "patch_stride": 2,
    "offsets": (2,),
    "directions": ("down",),
    "context_blocks": 1,
    "context_filters": 8,
}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (16, 20)}, r"image_shape must be \(height, width, channels\)"),
        ({"image_shape": (16, 20, 0)}, "three positive whole numbers. Received"),
        ({"image_shape": (16.0, 20, 1)}, "three positive whole numbers. Received"),
        ({"image_shape": 16}, "three positive whole numbers. Received: 16"),
        ({"image_shape": (17, 20, 1)}, "height of 17 .*nearest sizes that do are 16 and 18"),
        ({"image_shape": (16, 21, 1)}, "width of 21 .*nearest sizes that do are 20 and 22"),
        ({"image_shape": (2, 20, 1)}, "height of 2 pixels is smaller than a patch of 4"),
        ({"patch_size": 0}, "patch_size must be a whole number of pixels >= 1. Received: 0"),
        ({"patch_stride": 2.0}, "patch_stride must be a whole number of pixels >= 1"),
        ({"offsets": ()}, "offsets must be one or more whole numbers of rows >= 1"),
        ({"offsets": (0,)}, "offsets must be one or more whole numbers of rows >= 1"),
        ({"offsets": (2.5,)}, "offsets must be one or more whole numbers of rows >= 1"),
        ({"offsets": (2, 2)}, "offsets must be one or more different whole numbers"),
        ({"offsets": (1,)}, "offset 1 with .* see 2 pixel rows .* Use offsets >= 2, or pass allow"),
        ({"offsets": (7,)}, "grid of 7x9 patches leaves no rows .* offset 7. Use offsets below 7"),
        (
            {"offsets": (9,), "directions": ("left",)},
            "grid of 7x9 patches leaves no columns .* offset 9. Use offsets below 9",
        ),
        ({"directions": ()}, "directions must be one or more of .*each once"),
        ({"directions": ("down", "down")}, "directions must be one or more of .*each once"),
        ({"directions": ("north",)}, "directions must be one or more of .*Received: .'north'"),
        ({"directions": "down"}, "directions must be one or more of"),
        ({"candidates": "most"}, "candidates must be one of"),
        ({"candidates": "sampled"}, "num_negatives goes with"),
        ({"num_negatives": 4}, "num_negatives goes with"),
        ({"normalization": "batch"}, "normalization must be one of .*Batch normalisation is ref"),
        ({"features": "pixels"}, "features must be one of .*Received: 'pixels'"),
        ({"pooling": "median"}, 'pooling must be "mean", "max", or a coarse grid such as "3x3"'),
        ({"pooling": "8x3"}, 'finer than the grid of 7x9 codes. Use at most "7x9"'),
        ({"context_blocks": 0}, "num_blocks >= 1 and filters >= 1"),
        ({"patch_encoder": "huge"}, "patch_encoder must be one of .*'tiny'.*'huge'"),
        ({"patch_augmentation": "strong"}, "must be one of .*'cpc_v2'.*Received: 'strong'"),
        ({"score": "euclidean"}, "score must be one of .*'bilinear'.*Received: 'euclidean'"),
        ({"context_network": "lstm"}, "context_network must be one of .*'row_gru'.*'lstm'"),
        (
            {"context_network": MaskedContext(1, filters=4), "context_blocks": 2},
            "num_blocks and filters are those of the named networks",
        ),
        (
            {"context_network": MaskedContext(1, filters=4), "shared_context": False},
            "needs the name of one. Received the layer 'masked_context",
        ),
        ({"patch_augmentation": lambda x: x}, "patch_augmentation must be a keras.layers.Layer"),
        ({"image_augmentation": "default"}, "image augmentation must be one of .*'default'"),
        ({"image_augmentation": lambda x: x}, "image_augmentation must be a keras.layers.Layer"),
        (
            {"image_augmentation": keras.layers.RandomCrop(12, 12)},
            r"must keep the shape of the images, \(16, 20, 1\). .*\(12, 12, 1\)",
        ),
        ({"independent_targets": True}, "there is no image_augmentation that would tell"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        CPCModel(**{"image_shape": SHAPE, **TINY, **arguments})


def test_columns_may_be_few_where_only_rows_are_predicted():
    model = CPCModel((16, 4, 1), **{**TINY, "offsets": (6,)})
    assert model.grid == (7, 1)
    assert CPCModel((4, 20, 1), **{**TINY, "directions": ("left",)}).grid == (1, 9)


images = np.full((4, *SHAPE), 200, "uint8")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (images[..., 0], r"Received shape \(4, 16, 20\). A channel axis may be missing"),
        (images[0], r"Received shape \(16, 20, 1\). For a single image add a batch axis"),
        (images[:, :8], r"of shape \(16, 20, 1\). Received \(8, 20, 1\).*image_shape=\(8, 20, 1\)"),
        (np.concatenate([images] * 3, -1), r"Received \(16, 20, 3\)"),
        (images > 3, "integer or float type in .* Received bool"),
        (images.astype("complex64"), "integer or float type in .* Received complex64"),
        (images.astype(str), "integer or float type in"),
        (images[:0], "at least one image. Received an empty array"),
        (np.float32(3), r"Received shape \(\)"),
        (
            {"images": images, "label": 3},
            r"the key \"image\". Received the keys \['images', 'label'\]",
        ),
    ],
)
def test_arrays_that_are_no_images_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check_images(data, SHAPE)


def dataset(data):
    return tf.data.Dataset.from_tensor_slices(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: dataset(images), r"Received single images: batch it"),
        (lambda: dataset((images, range(4))), r"Received single images: batch it"),
        (lambda: dataset({"image": images}), r"Received single images: batch it"),
        (lambda: dataset({"picture": images}).batch(2), r"Received the keys \['picture'\]"),
        (lambda: dataset(images).batch(2).take(0), "The dataset is empty"),
        (lambda: dataset(images[:, :8]).batch(2), r"Received \(8, 20, 1\)"),
        (lambda: dataset(images > 3).batch(2), "Received bool"),
        (lambda: dataset(images).batch(2).batch(2), r"Received shape \(None, None, 16, 20, 1\)"),
    ],
)
def test_datasets_that_hold_no_batches_of_images_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        check_images(data(), SHAPE)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64", "float16", "float64", "bfloat16"])
def test_images_of_every_number_type_pass(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_images(keras.ops.cast(images, dtype), SHAPE)
        list(check_images(dataset(keras.ops.cast(images, dtype)).batch(2), SHAPE))


def test_what_looking_at_would_use_up_passes_untouched():
    generator = (pytest.fail("it was used up") for _ in range(1))
    assert check_images(generator, SHAPE) is generator


@pytest.mark.parametrize(
    ("values", "looks"),
    [
        (images / 255.0, r"\[0, 1\]"),
        (images / 100.0 - 3, r"\[-1, -1\]"),
        (images // 200, r"\[0, 1\]"),
        (images * 257.0, r"\[5\.14e\+04, 5\.14e\+04\]"),
        (images * np.nan, r"\[nan, nan\]"),
    ],
)
def test_a_range_other_than_0_to_255_is_warned_of(values, looks):
    with pytest.warns(UserWarning, match=f"look like {looks}, but .0, 255. is expected"):
        check_images(values, SHAPE)
    checked = check_images(dataset((values, range(4))).batch(2).repeat(2), SHAPE)
    with pytest.warns(UserWarning, match=looks) as record:
        assert len([list(checked) for _ in range(2)][1]) == 4  # read twice, warned of once
    assert len([w for w in record if "look like" in str(w.message)]) == 1


def test_of_sides_that_a_dataset_leaves_open_the_first_batch_is_refused():
    smaller = tf.data.Dataset.from_generator(
        lambda: iter([images[:, :8]]), output_signature=tf.TensorSpec((None, None, 20, 1), tf.uint8)
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Received \(8, 20, 1\)"):
        list(check_images(smaller, SHAPE))


def test_black_images_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_images(images * 0, SHAPE)


@pytest.fixture(scope="module")
def model():
    model = CPCModel(SHAPE, **TINY)
    model.compile(optimizer="sgd", run_eagerly=True)
    return model


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_fit_and_evaluate_check_their_images(model, method):
    with pytest.raises(ValueError, match="A channel axis may be missing"):
        getattr(model, method)(images[..., 0])
    with pytest.warns(UserWarning, match="look like") as record:
        getattr(model, method)(images / 255.0, verbose=0)
    # It points at the caller's line, where the images can be put right.
    assert [w.filename for w in record if "look like" in str(w.message)] == [__file__]


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        (SHAPE, {"candidates": "same_position"}),
        (SHAPE, {"candidates": "other_images"}),
        ((16, 4, 1), {"candidates": "same_row"}),
        ((4, 20, 1), {"candidates": "same_row", "directions": ("left",)}),
    ],
)
def test_batches_that_leave_a_single_candidate_are_refused(shape, arguments):
    model = CPCModel(shape, **{**TINY, **arguments})
    model.compile(optimizer="sgd", run_eagerly=True)
    data = np.random.default_rng(0).integers(0, 256, (5, *shape), "uint8")
    for method in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="A batch of 1 leaves a single candidate"):
            method(data, batch_size=1)
        with pytest.raises(ValueError, match="A batch of 1 leaves a single candidate"):
            method(data[:1])
        with pytest.raises(ValueError, match="the last of the array's included"):
            method(data, batch_size=4)  # 4 and 1
        with pytest.raises(ValueError, match="A batch of 1 leaves a single candidate"):
            method(dataset(data).batch(1, drop_remainder=True))
        # How many there are in a batch is seen in the first one.
        with pytest.raises(tf.errors.InvalidArgumentError, match="leaves a single candidate"):
            method(dataset(data).batch(1))
    assert np.isfinite(model.evaluate(data, batch_size=3, verbose=0)).all()


@pytest.mark.parametrize("candidates", ["all", "same_row"])
def test_one_image_suffices_where_it_holds_several_candidates(candidates):
    model = CPCModel(SHAPE, **TINY, candidates=candidates)
    model.compile(optimizer="sgd", run_eagerly=True)
    assert np.isfinite(model.evaluate(images[:1], verbose=0)).all()


def test_a_name_is_taken_as_image_augmentation():
    model = CPCModel(SHAPE, **TINY, image_augmentation="photos", independent_targets=True)
    again = CPCModel.from_config(model.get_config())
    for one in (model, again):
        assert "augment_photos" in {layer.name for layer in one.network.layers}


def test_a_layer_of_the_users_own_is_taken_as_augmentation():
    model = CPCModel(SHAPE, **{**TINY, "patch_augmentation": RandomShift(1)})
    assert any(isinstance(layer, RandomShift) for layer in model.network.layers)
