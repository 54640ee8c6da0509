"""Callbacks that measure the encoder between epochs."""

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel, methods
from cpc_keras.training import (
    CheckpointSchedule,
    CollapseMonitor,
    HeldOutProbe,
    ImprovementMonitor,
    KNNProbe,
    LinearProbe,
    MutualInformation,
    Recipe,
    pretrain,
    read_metrics,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 16, 16, 1), "uint8")
SMALL = {
    "patch_augmentation": "light",
    "patch_encoder": "mlp",
    "patch_size": 4,
    "patch_stride": 4,
    "offsets": (1, 2),
    "directions": ("down", "right"),
    "context_blocks": 1,
    "context_filters": 8,
}


class Stub(keras.Model):
    """A model whose encoder returns given features, whatever the images."""

    def __init__(self, features):
        super().__init__()
        self.table = keras.layers.Embedding(*np.shape(features))
        self.table.build(())
        self.table.set_weights([np.asarray(features, "float32")])
        image = keras.Input((1,))
        self.encoder = keras.Model(image, self.table(keras.ops.cast(image[:, 0], "int32")))


def measured(probe, features):
    """What a probe of images 0, 1, ... logs where their features are these."""
    probe.set_model(Stub(features))
    return probe.measure()


def numbers(count):
    return np.arange(count)[:, None]


def slow_knn_accuracy(features, labels, num_neighbors, temperature):
    """Wu et al. 2018, section 3.4, written out: leave one out, weighted votes."""
    hits = 0
    for i, feature in enumerate(features):
        neighbors = []
        for j, other in enumerate(features):
            if j != i:
                cosine = feature @ other / np.linalg.norm(feature) / np.linalg.norm(other)
                neighbors.append((cosine, labels[j]))
        votes = {label: 0.0 for label in labels}
        for cosine, label in sorted(neighbors, reverse=True)[:num_neighbors]:
            votes[label] += np.exp(cosine / temperature)
        hits += max(votes, key=votes.get) == labels[i]
    return hits / len(features)


@pytest.mark.parametrize(("num_neighbors", "temperature"), [(1, 0.07), (5, 0.07), (9, 1.0)])
def test_knn_accuracy_is_that_of_the_formula(num_neighbors, temperature):
    labels = RNG.integers(0, 3, 60)
    features = RNG.normal(size=(60, 5)) + 0.8 * np.eye(3, 5)[labels]
    probe = KNNProbe(
        numbers(60), labels, num_neighbors=num_neighbors, temperature=temperature, batch_size=7
    )
    expected = slow_knn_accuracy(features, labels, num_neighbors, temperature)
    assert 0.3 < expected < 1
    assert measured(probe, features)["knn_accuracy"] == pytest.approx(expected)


def test_more_neighbors_than_images_are_all_others_and_small_temperatures_do_not_overflow():
    labels = np.array([0, 0, 0, 1, 1, 1])
    features = np.eye(2)[labels] + 0.01
    probe = KNNProbe(numbers(6), labels, num_neighbors=200, temperature=1e-4)
    assert measured(probe, features)["knn_accuracy"] == 1.0


def patients_with_classes_by_chance(num_patients, images_each):
    """Features tell the patient, and the patient's class is a coin's."""
    groups = np.repeat(np.arange(num_patients), images_each)
    labels = np.random.default_rng(1).permutation(num_patients)[groups] % 2
    return np.eye(num_patients)[groups] + RNG.normal(0, 0.01, (len(groups), 1)), labels, groups


@pytest.mark.parametrize("kind", [KNNProbe, LinearProbe])
def test_who_a_patient_is_counts_for_nothing(kind):
    features, labels, groups = patients_with_classes_by_chance(30, 5)
    names = np.array([f"patient {n}" for n in groups])
    (name,) = kind.compared_with_untrained
    images = numbers(150)
    assert measured(kind(images, labels), features)[name] > 0.9
    assert measured(kind(images, labels, groups=names), features)[name] < 0.75


def test_neighbors_of_other_groups_vote_as_ever():
    labels, groups = RNG.integers(0, 3, 24), np.arange(24) // 2
    features = RNG.normal(size=(24, 5)) + np.eye(3, 5)[labels]
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    hits = 0
    for i in range(24):
        others = [j for j in range(24) if groups[j] != groups[i]]
        near = sorted(others, key=lambda j: -unit[i] @ unit[j])[:4]
        votes = np.zeros(3)
        for j in near:
            votes[labels[j]] += np.exp(unit[i] @ unit[j] / 0.07)
        hits += votes.argmax() == labels[i]
    probe = KNNProbe(numbers(24), labels, groups=groups, num_neighbors=4)
    assert measured(probe, features)["knn_accuracy"] == pytest.approx(hits / 24)


def test_images_without_a_label_are_left_out():
    labels = np.array([0, -1, 1, 0, 1, -1])
    features = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [0, 1], [1, 0]], "float32")
    probe = KNNProbe(numbers(6), labels, num_neighbors=1)
    assert measured(probe, features)["knn_accuracy"] == 1.0


def test_linear_accuracy_is_that_of_logistic_regression_on_the_held_out_quarter():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    labels = np.repeat([0, 1, 2], 40)
    features = (RNG.normal(size=(120, 6)) + 1.5 * np.eye(3, 6)[labels]).astype("float32")
    probe = LinearProbe(numbers(120), labels)
    fit, held_out = probe._fit, probe._held_out
    assert len(held_out) == 30 and not {*fit} & {*held_out}
    scaler = StandardScaler().fit(features[fit])
    classifier = LogisticRegression(max_iter=1000).fit(scaler.transform(features[fit]), labels[fit])
    expected = classifier.score(scaler.transform(features[held_out]), labels[held_out])
    assert 0.4 < expected < 1
    # Our scaling differs a little; one image of thirty may.
    assert measured(probe, features)["linear_accuracy"] == pytest.approx(expected, abs=0.034)


def test_effective_rank_and_deviation_are_those_of_the_formulas():
    features = RNG.normal(size=(50, 4)) * [3, 2, 1, 0.1]
    found = measured(CollapseMonitor(numbers(50)), features)
    # Singular values through the eigenvalues of the Gram matrix; Roy & Vetterli, equations 1 to 5.
    values = np.sqrt(np.linalg.eigvalsh(features.T @ features))
    p = values / values.sum()
    assert found["effective_rank"] == pytest.approx(np.prod(p**-p), rel=1e-5)
    unit = [f / np.sqrt((f**2).sum()) for f in features]
    deviation = np.mean([np.sqrt(np.var([u[i] for u in unit])) for i in range(4)])
    assert found["feature_deviation"] == pytest.approx(deviation, rel=1e-5)


@pytest.mark.parametrize(
    ("features", "rank", "deviation"),
    [
        (np.ones((10, 4)), 1.0, 0.0),
        (np.zeros((10, 4)), 0.0, 0.0),
        (np.tile(np.eye(4), (5, 1)), 4.0, np.sqrt(3) / 4),
    ],
)
def test_the_extremes_of_collapse_are_known(features, rank, deviation):
    found = measured(CollapseMonitor(numbers(len(features))), features)
    assert found["effective_rank"] == pytest.approx(rank, abs=1e-6)
    assert found["feature_deviation"] == pytest.approx(deviation, abs=1e-6)


def test_collapse_is_told_and_health_is_not(capsys):
    line = np.linspace(-1, 1, 8)[:, None] * np.ones(4)  # they spread, in one direction
    point = 1 + RNG.normal(size=(100, 100)) / 200  # they point many ways, by a hair
    healthy = RNG.normal(size=(8, 4))
    for features, told in ((np.ones((8, 4)), True), (line, True), (point, True), (healthy, False)):
        monitor = CollapseMonitor(numbers(len(features)))
        monitor.set_model(Stub(features))
        monitor.on_epoch_end(4, {})
        assert ("collapsed at epoch 5" in capsys.readouterr().out) == told


def cpc(**options):
    keras.utils.set_random_seed(1)
    model = CPCModel((16, 16, 1), seed=1, **{**SMALL, **options})
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    return model


def test_mutual_information_is_that_of_evaluation_on_the_same_batches():
    model = cpc(log_terms=True)
    monitor = MutualInformation(IMAGES, batch_size=8)
    monitor.set_model(model)
    found = monitor.measure()
    expected = model.evaluate(IMAGES, batch_size=8, verbose=0, return_dict=True)
    names = {n for n in expected if n.startswith("mutual_information")}
    assert set(found) == {f"val_{name}" for name in names} and len(found) == 5
    for name in names:
        assert found[f"val_{name}"] == pytest.approx(expected[name], abs=1e-4)


def test_mutual_information_of_pairs_draws_the_same_and_leaves_the_draws_of_training_alone():
    model = methods.simclr((16, 16, 1), encoder="mlp", seed=1)
    model.compile(optimizer="adam")
    monitor = MutualInformation(IMAGES, batch_size=12)
    monitor.set_model(model)
    generators = monitor._generators()
    assert generators
    before = [keras.ops.convert_to_numpy(g.state.value).copy() for g in generators]
    first, second = monitor.measure(), monitor.measure()
    assert first == second and set(first) == {"val_mutual_information"}
    assert first["val_mutual_information"] < np.log(23)
    for generator, state in zip(generators, before, strict=True):
        np.testing.assert_array_equal(generator.state.value, state)


def dense():
    """The smallest model that trains, and its data."""
    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    model.compile(optimizer="sgd", loss="mse")
    return model, np.zeros((4, 2), "float32")


class Counting(HeldOutProbe):
    compared_with_untrained = ("count",)

    def __init__(self, **kwargs):
        super().__init__(IMAGES[:2], **kwargs)
        self.count = 0

    def measure(self):
        self.count += 1
        return {"count": float(self.count)}


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_a_probe_measures_before_training_every_n_epochs_and_at_the_end(every, epochs):
    model, x = dense()
    probe = Counting(every=every, encoder=model)
    logs = {}
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, found: logs.update({e + 1: found}))
    model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[probe, keep])
    assert [epoch for epoch, found in logs.items() if "count" in found] == epochs
    # The first measurement was the untrained network's.
    assert [logs[e]["count"] for e in epochs] == [float(i) for i in range(2, len(epochs) + 2)]
    assert {logs[e]["count_untrained"] for e in epochs} == {1.0}


def test_a_trained_model_has_no_untrained_figure_unless_it_is_restored():
    model, x = dense()
    model.fit(x, x[:, :1], epochs=1, verbose=0)
    probe = Counting(encoder=model)
    history = model.fit(x, x[:, :1], epochs=1, verbose=0, callbacks=[probe]).history
    assert "count_untrained" not in history
    probe.restore([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "count": 5.0, "count_untrained": 0.5}])
    history = model.fit(x, x[:, :1], epochs=1, verbose=0, callbacks=[probe]).history
    assert history["count_untrained"] == [0.5]


def probes():
    labels = np.arange(len(IMAGES)) % 3
    return [
        KNNProbe(IMAGES, labels, num_neighbors=3),
        LinearProbe(IMAGES, labels),
        CollapseMonitor(IMAGES),
        MutualInformation(IMAGES, batch_size=8),
        ImprovementMonitor(patience=1),
    ]


def run(directory, num_epochs=3, callbacks=(), stop_after=None):
    recipe = Recipe(model=SMALL, num_epochs=num_epochs, batch_size=8, schedule="constant", seed=3)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: _stop() if epoch == stop_after else None
    )
    return pretrain(
        lambda: CPCModel((16, 16, 1), seed=3, **SMALL),
        IMAGES,
        run_directory=directory,
        recipe=recipe,
        callbacks=[*callbacks, stop],
        checkpoints=CheckpointSchedule(steps=1),
    )


class Stopped(Exception):
    pass


def _stop():
    raise Stopped


@pytest.mark.slow
def test_probes_change_nothing_and_a_resumed_run_has_their_whole_course(tmp_path):
    plain = run(tmp_path / "plain")
    probed = run(tmp_path / "probed", callbacks=probes())
    for a, b in zip(plain.get_weights(), probed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(Stopped):
        run(tmp_path / "resumed", callbacks=probes(), stop_after=2)
    run(tmp_path / "resumed", callbacks=probes())
    whole, resumed = (read_metrics(tmp_path / n / "metrics.csv") for n in ("probed", "resumed"))
    assert {"knn_accuracy", "linear_accuracy", "effective_rank", "feature_deviation"} <= {*whole[0]}
    assert {"knn_accuracy_untrained", "val_mutual_information_down_2"} <= {*whole[0]}
    assert len(whole) == len(resumed) == 3
    for a, b in zip(whole, resumed, strict=True):
        assert a == pytest.approx(b, rel=1e-5)


def test_the_standstill_is_told_once_and_again_after_a_resume_only_where_it_is_new(capsys):
    def course(monitor, values, first=0):
        for epoch, value in enumerate(values, first):
            monitor.on_epoch_end(epoch, {"knn_accuracy": value, "knn_accuracy_untrained": 0.3})
        return capsys.readouterr().out.splitlines()

    monitor = ImprovementMonitor(patience=2)
    assert course(monitor, [0.5, 0.7, 0.6]) == []
    (line,) = course(monitor, [0.7, 0.6], first=3)
    assert line.startswith(
        "kNN accuracy has not improved since epoch 2 (70.0 %, before training 30.0 %)"
    )
    resumed = ImprovementMonitor(patience=2)
    resumed.restore(monitor._rows)
    assert course(resumed, [0.69], first=5) == []
    assert course(resumed, [0.8, 0.7, 0.7], first=6)[0].startswith(
        "kNN accuracy has not improved since epoch 7 (80.0 %"
    )
    resumed.on_train_end()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KNNProbe(IMAGES, np.zeros(24, int)), "at least two. Received 24 labels of .*0"),
        (lambda: KNNProbe(IMAGES, np.zeros((24, 2), int)), r"shape \(24,\). Received shape"),
        (lambda: KNNProbe(IMAGES, np.arange(24) / 2), "integer label"),
        (lambda: KNNProbe(IMAGES, np.arange(24), temperature=0), "temperature > 0"),
        (lambda: LinearProbe(IMAGES, np.arange(24)), "one a class"),
        (lambda: KNNProbe(IMAGES, np.arange(24), groups=[0]), r"groups of shape \(1,\)"),
        (lambda: LinearProbe(IMAGES, np.arange(24), groups=[7] * 24), "the single group '7'"),
        (lambda: CollapseMonitor(IMAGES[:0]), "Received none"),
        (lambda: CollapseMonitor(IMAGES, every=0), "at least 1. Received: 0"),
        (lambda: MutualInformation(IMAGES, batch_size=25), "24 images for batches of 25"),
        (lambda: ImprovementMonitor(patience=0), "patience"),
    ],
)
def test_what_cannot_be_measured_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_models_that_lack_what_is_measured_are_refused():
    images = keras.Input((2,))
    model = keras.Model(images, keras.layers.Dense(1)(images))
    with pytest.raises(ValueError, match="has no InfoNCE loss"):
        MutualInformation(IMAGES, batch_size=8).set_model(model)
    probe = CollapseMonitor(numbers(4))
    probe.set_model(model)
    with pytest.raises(ValueError, match=r"no attribute `encoder`\. Pass encoder="):
        probe.measure()
    with pytest.raises(FloatingPointError, match="NaN or infinite features for 1 of 4"):
        measured(CollapseMonitor(numbers(4)), [[1.0], [np.nan], [2.0], [3.0]])
