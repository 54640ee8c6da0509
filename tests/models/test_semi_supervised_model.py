"""The semi-supervised model: its loss by hand, its contracts, what it refuses."""

import keras
import numpy as np
import pytest

from cpc_keras.losses import EntropyMinimization, PseudoLabel
from cpc_keras.methods import rotation_joint, supervised, vat
from cpc_keras.models import PretrainingModel, SemiSupervisedModel, describe
from cpc_keras.training import Recipe, pretrain, read_metrics
from cpc_keras.views import Rotations

SHAPE = (8, 8, 1)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, *SHAPE), "uint8")
LABELS = np.array([0, 1, 2, -1, 2, -1, -1, -1, 1, -1, -1, -1])


def log_softmax(logits):
    logits = np.float64(logits)
    top = logits.max(axis=-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(axis=-1, keepdims=True))


def loss_and_logs(model, labels=LABELS):
    model.compile()
    outputs = model(IMAGES)
    loss = model.compute_loss({"image": IMAGES, "label": labels}, y_pred=outputs, training=False)
    return float(loss), {m.name: float(m.result()) for m in model.metrics}


def test_the_loss_is_that_of_labelled_rows_and_the_weighted_terms_of_theirs():
    terms = [PseudoLabel(0.5, ramp=(0, 0)), EntropyMinimization(0.25)]
    model = SemiSupervisedModel(SHAPE, 3, encoder="mlp", terms=terms)
    loss, logs = loss_and_logs(model)
    log_p = log_softmax(model.classifier(IMAGES))
    known = LABELS >= 0
    cross_entropy = np.mean([-log_p[n, LABELS[n]] for n in np.flatnonzero(known)])
    pseudo = -log_p[~known].max(axis=1).mean()
    entropy = -(np.exp(log_p) * log_p).sum(axis=1).mean()
    np.testing.assert_allclose(logs["cross_entropy"], cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(logs["pseudo_label"], pseudo, rtol=1e-5)
    np.testing.assert_allclose(logs["entropy"], entropy, rtol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy + 0.5 * pseudo + 0.25 * entropy, rtol=1e-5)
    right = log_p.argmax(axis=1)[known] == LABELS[known]
    np.testing.assert_allclose(logs["accuracy"], right.mean(), rtol=1e-6)


def test_rotations_are_told_of_all_and_classes_of_all_turns_of_labelled_images():
    model = rotation_joint(SHAPE, 3, encoder="mlp", rotation_weight=2.0)
    loss, logs = loss_and_logs(model)
    class_losses, turn_losses = [], []
    to_turn = model.network.get_layer("task_logits")
    for image, label in zip(IMAGES, LABELS, strict=True):
        for turn in range(4):
            turned = np.rot90(image, turn)[None]
            turn_losses.append(-log_softmax(to_turn(model.encoder(turned)))[0, turn])
            if label >= 0:
                class_losses.append(-log_softmax(model.classifier(turned))[0, label])
    np.testing.assert_allclose(logs["cross_entropy"], np.mean(class_losses), rtol=1e-4)
    np.testing.assert_allclose(logs["task"], np.mean(turn_losses), rtol=1e-4)
    np.testing.assert_allclose(loss, np.mean(class_losses) + 2.0 * np.mean(turn_losses), rtol=1e-4)


def test_accuracy_is_of_the_upright_copy_and_that_of_the_task_of_every_copy():
    model = rotation_joint(SHAPE, 3, encoder="mlp")
    model.compile()
    turns = np.tile(np.arange(4), (12, 1))
    # Classes: right of the upright copy, but for one image, and wrong of all others.
    classes = np.tile((LABELS[:, None] + 1) % 3, (1, 4))
    classes[:, 0] = LABELS
    classes[8, 0] = 0
    # Turns: right of all copies of the first image, and of three of each other one.
    told = turns.copy()
    told[1:, 3] = 0
    outputs = {
        "images": IMAGES.astype("float32"),
        "logits": 9.0 * np.eye(3, dtype="float32")[classes],
        "task_logits": 9.0 * np.eye(4, dtype="float32")[told],
        "task_labels": turns.astype("int32"),
    }
    outputs = {name: keras.ops.convert_to_tensor(value) for name, value in outputs.items()}
    model.compute_loss({"image": IMAGES, "label": LABELS}, y_pred=outputs, training=False)
    logs = {m.name: float(m.result()) for m in model.metrics}
    assert logs["accuracy"] == pytest.approx(4 / 5)
    assert logs["task_accuracy"] == pytest.approx((4 + 11 * 3) / 48)


def test_a_batch_without_labels_or_with_nothing_else_has_a_finite_loss():
    for labels in (np.full(12, -1), np.abs(LABELS)):
        model = SemiSupervisedModel(SHAPE, 3, encoder="mlp", terms=[PseudoLabel(ramp=(0, 0))])
        assert np.isfinite(loss_and_logs(model, labels)[0])


def test_images_are_augmented_in_training_alone_and_terms_see_what_the_classifier_saw():
    model = SemiSupervisedModel(SHAPE, 3, encoder="mlp", image_augmentation="photos")
    np.testing.assert_array_equal(model(IMAGES)["images"], IMAGES)
    seen = model(IMAGES, training=True)
    assert (np.asarray(seen["images"]) != IMAGES).any()
    np.testing.assert_allclose(
        seen["logits"][:, 0], model.classifier(seen["images"]), rtol=1e-4, atol=1e-5
    )


def test_encoder_and_classifier_are_one_network_of_stock_layers(tmp_path):
    model = supervised(SHAPE, 3, encoder="tiny")
    head = model.classifier.layers[-1]
    np.testing.assert_allclose(
        model.classifier(IMAGES), head(model.encoder(IMAGES)), rtol=1e-5, atol=1e-6
    )
    assert model.encoder(IMAGES).dtype == model.classifier(IMAGES).dtype == "float32"
    for part in (model.encoder, model.classifier):
        part.save(tmp_path / "part.keras")
        # Nothing of ours is needed to open it.
        names = {type(layer).__module__.split(".")[0] for layer in part._flatten_layers()}
        assert names == {"keras"}


def test_it_exports_and_comes_back_with_its_terms(tmp_path):
    model = vat(SHAPE, 3, encoder="mlp", entropy_minimization=True, seed=0)
    model.compile(optimizer="adam")
    model.fit({"image": IMAGES, "label": LABELS}, verbose=0)
    model.export(tmp_path / "artifact")
    again = PretrainingModel.from_preset(tmp_path / "artifact")
    np.testing.assert_array_equal(again.classifier(IMAGES), model.classifier(IMAGES))
    assert [t.get_config() for t in again.terms] == [t.get_config() for t in model.terms]


@pytest.mark.slow
def test_a_stopped_run_counts_the_ramp_and_takes_the_batches_as_if_never_stopped(tmp_path):
    labels, index = np.abs(LABELS), np.flatnonzero(LABELS >= 0)
    recipe = Recipe(num_epochs=3, batch_size=6, unlabeled_ratio=2, schedule="constant", seed=1)

    def build():
        terms = [PseudoLabel(ramp=(0, 6))]
        return SemiSupervisedModel(SHAPE, 3, encoder="mlp", terms=terms)

    def run(name, **options):
        return pretrain(
            build,
            IMAGES,
            run_directory=tmp_path / name,
            recipe=recipe,
            labels=labels,
            labeled_index=index,
            **options,
        )

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    whole = run("whole")
    assert int(whole.terms[0].steps) == 3 * 2
    with pytest.raises(KeyboardInterrupt):
        run("stopped", callbacks=[Stop()])
    again = run("stopped")
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
    rows = read_metrics(tmp_path / "whole" / "metrics.csv")
    assert {"accuracy", "cross_entropy", "pseudo_label", "loss"} <= set(rows[0])
    with pytest.raises(FileExistsError, match="labels, num_labels differ"):
        pretrain(build, IMAGES, run_directory=tmp_path / "whole", recipe=recipe,
                 labels=labels, labeled_index=index[1:])  # fmt: skip


def test_describe_counts_the_passes_of_a_term_and_of_copies():
    def flops(**options):
        return describe(SemiSupervisedModel(SHAPE, 3, encoder="mlp", **options)).step_flops

    plain = flops()
    told = describe(vat(SHAPE, 3, encoder="mlp"))
    assert told.step_flops == 3 * plain  # 3 passes more for the direction, 3 for the perturbed
    assert flops(terms=[PseudoLabel()]) == plain
    assert flops(views=Rotations()) == 4 * plain
    assert "1 virtual_adversarial" in str(told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes must be 2 or more"),
        ({"terms": [keras.layers.Dense(2)]}, "terms must be losses.UnlabeledTerm layers"),
        ({"terms": [PseudoLabel(), PseudoLabel()]}, "unlike names"),
        ({"views": keras.layers.Dense(2)}, "views must be a layer that makes a task"),
        ({"image_augmentation": keras.layers.CenterCrop(4, 4)}, "must keep the shape"),
        ({"image_augmentation": "shiny"}, "image augmentation must be one of .*Received: 'shiny'"),
        ({"image_augmentation": abs}, "image_augmentation must be a keras.layers.Layer"),
    ],
)
def test_bad_arguments_get_an_answer(options, message):
    with pytest.raises(ValueError, match=message):
        SemiSupervisedModel(SHAPE, **{"num_classes": 3, "encoder": "mlp", **options})


def test_images_without_labels_and_sides_that_differ_get_an_answer(tmp_path):
    model = supervised(SHAPE, 3, encoder="mlp")
    model.compile()
    with pytest.raises(ValueError, match="needs labels, -1 for images without one"):
        model.fit(IMAGES, verbose=0)
    with pytest.raises(ValueError, match="square images"):
        rotation_joint((8, 12, 1), 3, encoder="mlp")
    with pytest.raises(ValueError, match="go together"):
        pretrain(lambda: model, IMAGES, run_directory=tmp_path, recipe=Recipe(batch_size=4),
                 labels=LABELS)  # fmt: skip
