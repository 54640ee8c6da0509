"""What the layers of one's own encoder add to the loss is minimised and logged."""

import keras
import numpy as np
import pytest

from cpc_keras.augmentations import image_augmentation
from cpc_keras.losses import VirtualAdversarial
from cpc_keras.models import (
    CPCModel,
    InstanceModel,
    PairModel,
    PretextModel,
    SemiSupervisedModel,
    pretraining_model,
)
from cpc_keras.views import Rotations, TwoViews

SHAPE = (8, 8, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), "uint8")
CPC = {
    "patch_size": 4,
    "patch_stride": 2,
    "offsets": (2,),
    "directions": ("down",),
    "context_blocks": 1,
    "context_filters": 4,
    "patch_augmentation": None,
}


@keras.saving.register_keras_serializable("cpc_keras_tests")
class AddsOne(keras.layers.Layer):
    """Leaves what it is given as it is and adds 1 to the loss."""

    def call(self, x):
        self.add_loss(keras.ops.sum(keras.ops.zeros_like(x)) + 1.0)
        return x

    def compute_output_shape(self, shape):
        return shape


def encoder(shape, *extra, **options):
    scale = keras.layers.Rescaling(1 / 255)
    layers = [scale, keras.layers.Flatten(), keras.layers.Dense(3, **options), *extra]
    return keras.Sequential([keras.Input(shape), *layers])


def build(kind, **options):
    if kind == "cpc":
        return CPCModel(SHAPE, patch_encoder=encoder((4, 4, 1), **options), **CPC)
    own = encoder(SHAPE, **options)
    if kind == "pair":
        return PairModel(SHAPE, views=TwoViews(image_augmentation("photos", SHAPE)), encoder=own)
    if kind == "pretext":
        return PretextModel(SHAPE, views=Rotations(), encoder=own)
    if kind == "instance":
        return InstanceModel(SHAPE, num_images=8, encoder=own, dim=4)
    # Its term calls the classifier once more while the loss is computed.
    terms = [VirtualAdversarial(1.0)]
    return SemiSupervisedModel(SHAPE, 3, encoder=own, terms=terms)


BATCHES = {
    "instance": {"image": IMAGES, "index": np.arange(8)},
    "semi": {"image": IMAGES, "label": np.arange(8) % 3},
}


@pytest.mark.parametrize("kind", ["cpc", "pair", "pretext", "instance", "semi"])
def test_regularizers_of_weights_and_activities_are_minimised_and_logged(kind):
    weights, activities = keras.regularizers.L2(100.0), keras.regularizers.L2(0.01)
    model = build(kind, kernel_regularizer=weights, activity_regularizer=activities)
    batch = BATCHES.get(kind, IMAGES)
    model.compile(optimizer=keras.optimizers.SGD(1e-3), run_eagerly=True)
    (kernel,) = (v for v in model.trainable_variables if v.regularizer is not None)
    before = float(weights(kernel))
    outputs = model(batch)
    added = sorted(float(loss) for loss in model.losses)
    assert added[-1] == before > 100 and added[0] > 0
    # The method's own loss is some nats.
    loss = float(model.compute_loss(batch, y_pred=outputs, training=False))
    assert sum(added) < loss < sum(added) + 30
    logged = model.fit(batch, verbose=0).history["loss"][0]
    assert before < logged < sum(added) + 30
    # One step of 1e-3 along a gradient of 200 w leaves 0.8 w.
    np.testing.assert_allclose(weights(kernel), 0.8**2 * before, rtol=0.02)


def test_what_a_layer_adds_itself_is_in_the_loss_of_a_compiled_step():
    model = CPCModel(SHAPE, patch_encoder=encoder((4, 4, 1), AddsOne()), **CPC)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    logs = model.fit(IMAGES, verbose=0).history
    # ln N - mutual_information is InfoNCE alone; N are the 9 patches of 8 images.
    own = np.log(9 * 8) - logs["mutual_information"][0]
    np.testing.assert_allclose(logs["loss"][0], own + 1.0, rtol=1e-5)


def test_each_replica_gives_its_share(monkeypatch):
    model = build("cpc", kernel_regularizer=keras.regularizers.L2(1.0))
    outputs = model(IMAGES)
    whole = float(model.compute_loss(y_pred=outputs))
    monkeypatch.setattr(pretraining_model, "num_replicas", lambda: 4)
    np.testing.assert_allclose(model.compute_loss(y_pred=outputs), whole / 4, rtol=1e-6)


def test_chunks_keep_regularizers_of_weights_and_refuse_what_they_would_lose():
    own = encoder((4, 4, 1), kernel_regularizer=keras.regularizers.L2(100.0))
    whole, chunked = (
        CPCModel(SHAPE, patch_encoder=own, chunk_size=n, seed=0, **CPC) for n in (None, 3)
    )
    chunked.set_weights(whole.get_weights())
    losses = []
    for model in (whole, chunked):
        model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
        losses.append(model.fit(IMAGES, verbose=0).history["loss"][0])
        assert losses[-1] > float(sum(model.losses)) > 100
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    for options in ({"activity_regularizer": "l2"}, {}):
        extra = () if options else (AddsOne(),)
        own = encoder((4, 4, 1), *extra, **options)
        model = CPCModel(SHAPE, patch_encoder=own, chunk_size=3, **CPC)
        model.compile(optimizer="sgd", run_eagerly=True)
        with pytest.raises(ValueError, match="activity_regularizer or add_loss"):
            model.fit(IMAGES, verbose=0)


ON_JAX = """
import keras
import numpy as np
from cpc_keras import CPCModel
from cpc_keras.methods import supervised

def encoder(shape, **options):
    dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(100.0), **options)
    scale = keras.layers.Rescaling(1 / 255)
    return keras.Sequential([keras.Input(shape), scale, keras.layers.Flatten(), dense])

images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), "uint8")
for chunk_size in (None, 3):
    own = encoder((4, 4, 1))
    model = CPCModel((8, 8, 1), patch_encoder=own, patch_size=4, patch_stride=2, offsets=(2,),
                     directions=("down",), context_blocks=1, context_filters=4,
                     patch_augmentation=None, chunk_size=chunk_size)
    model.compile(optimizer=keras.optimizers.SGD(1e-3))
    before = float(sum(model.losses))
    logs = model.fit(images, verbose=0).history
    assert before > 100 and before < logs["loss"][0] < before + 30, logs
    np.testing.assert_allclose(float(sum(model.losses)), 0.64 * before, rtol=0.05)

model = supervised((8, 8, 1), 3, encoder=encoder((8, 8, 1), activity_regularizer="l2"))
model.compile(optimizer=keras.optimizers.SGD(0.0))
batch = {"image": images, "label": np.array([0, 1, 2, -1, 2, -1, -1, 1])}
of_nothing = dict.fromkeys(range(3), 0.0)
found = [model.fit(batch, class_weight=w, verbose=0).history for w in (None, of_nothing, None)]
assert [h["cross_entropy"][0] > 0 for h in found] == [True, False, True], found
assert found[1]["loss"][0] > float(sum(model.losses)) > 100
expected = model.classifier.predict(images, verbose=0)
np.testing.assert_allclose(model.predict(batch, verbose=0), expected, rtol=1e-5, atol=1e-6)
print("all is well")
"""


@pytest.mark.slow
def test_added_losses_class_weights_and_predictions_on_jax(run_on_jax):
    assert run_on_jax(ON_JAX).strip().endswith("all is well")
