"""What a report is made of: sentences, map, retrieval, pictures, charts."""

import re
import xml.etree.ElementTree as ET

import keras
import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.data import ImageData, Splits
from cpc_keras.evaluation import (
    RunEvidence,
    compare_runs,
    feature_map,
    feature_verdict,
    labels_saved,
    load_pictures,
    retrieve_patches,
    run_pictures,
    save_pictures,
    thumbnails,
)
from cpc_keras.evaluation.charts import course_chart, label_chart
from cpc_keras.evaluation.charts.label_chart import row_curves
from cpc_keras.evaluation.summary_table import ROW_TITLES
from cpc_keras.evaluation.write_report import _confusion

RNG = np.random.default_rng(0)


def summary(curves, seeds=3):
    """Cells of a summary from `{row: {fraction: accuracy}}`, of 1000 labels."""
    return [
        {
            "row": row,
            "fraction": fraction,
            "num_labels": int(1000 * fraction),
            "accuracy": accuracy,
            "draw_deviation": 0.01,
            "seed_deviation": 0.01,
            "by_seed": [accuracy + d for d in np.linspace(-0.01, 0.01, seeds)],
            "by_draw": [accuracy],
        }
        for row, curve in curves.items()
        for fraction, accuracy in curve.items()
    ]


SCRATCH = {0.01: 0.5, 0.1: 0.7, 1.0: 0.9}


@pytest.mark.parametrize(
    ("curves", "said"),
    [
        # Half way between 10 and 100 labels in their logarithms: 31.6 labels.
        (
            {"cpc_frozen": {0.01: 0.6, 0.1: 0.85, 1.0: 0.95}, "supervised": SCRATCH},
            "frozen + linear probe (60.0 %) is as good as networks trained from scratch on about "
            "3.2 % (32). It reaches what they reach with 100 % (90.0 %) with about 32 %. Means of",
        ),
        # At each share the better network counts.
        (
            {"cpc_fine_tuned": {0.01: 0.6}, "supervised": {0.01: 0.3}, "cnn": SCRATCH},
            "as good as networks trained from scratch on about 3.2 % (32).",
        ),
        (
            {"cpc_frozen": {0.01: 0.95}, "cnn": SCRATCH},
            "is better than networks trained from scratch on 100 % of them (1000 labels, 90.0 %)",
        ),
        (
            {"cpc_frozen": {0.01: 0.6, 1.0: 0.8}, "cnn": SCRATCH},
            "It does not reach what they reach with 100 % (90.0 %).",
        ),
        (
            {"cpc_frozen": {0.01: 0.5}, "cnn": SCRATCH},
            "is not better than networks trained from scratch on as many (50.0 %): no labels are",
        ),
        (
            {"cpc_frozen": {0.01: 0.6}, "cnn": SCRATCH, "random_frozen": {0.01: 0.6}},
            "is not better than random encoder + linear probe on as many (60.0 %): pre-training "
            "saves no labels.",
        ),
    ],
)
def test_the_labels_that_are_saved_are_said(curves, said):
    sentence = labels_saved(summary(curves))
    assert sentence.startswith("With 1 % of the labels (10), CPC, ")
    assert said in sentence


def test_a_few_seeds_are_an_observation_and_one_side_alone_says_nothing():
    cells = summary({"cpc_frozen": {0.01: 0.6}, "cnn": SCRATCH}, seeds=2)
    assert labels_saved(cells).endswith("Of 2 pre-training seeds: an observation, no claim.")
    assert labels_saved(summary({"cpc_frozen": {0.01: 0.6}})) == ""
    assert labels_saved(summary({"cnn": SCRATCH})) == ""


def test_labels_are_said_to_be_saved_where_a_benefit_is_claimed_alone():
    rows = {row: {0.01: 0.4, 1.0: 0.9} for row in ROW_TITLES}
    curves = {**rows, "cpc_frozen": {0.01: 0.6}, "cnn": SCRATCH}
    assert labels_saved(summary(curves, seeds=3)).endswith("Means of 3 pre-training seeds.")
    doubt = "Means of 3 pre-training seeds: an observation, no claim."
    without = {row: cells for row, cells in curves.items() if row != "raw_pixels"}
    assert labels_saved(summary(without, seeds=3)).endswith(doubt)
    cells = summary(curves, seeds=3)
    (ours,) = (c for c in cells if (c["row"], c["fraction"]) == ("cpc_frozen", 0.01))
    ours["by_seed"] = [0.9, 0.5, 0.4]  # not ahead with each
    assert labels_saved(cells).endswith(doubt)


def test_sentences_and_charts_name_the_method_of_the_encoder():
    cells = summary({"cpc_frozen": {0.01: 0.6}, "cnn": SCRATCH})
    assert ", rotation, frozen + linear probe (60.0 %)" in labels_saved(cells, method="rotation")
    assert [title for title, _ in row_curves(cells, method="rotation")] == [
        "rotation, frozen + linear probe",
        "ordinary CNN, labels only",
    ]
    runs = [run("a", 0.6), run("b", 0.5)]
    runs[0].method, runs[1].method = "rotation", "cpc_v2"
    (sentence,) = compare_runs(runs)
    assert "(rotation, frozen + linear probe) and b 50.0 % (CPC, frozen + " in sentence


def course(*values, untrained=None):
    beside = {} if untrained is None else {"knn_accuracy_untrained": untrained}
    rows = [{"epoch": e, "knn_accuracy": v, **beside} for e, v in enumerate(values, 1)]
    return [row for pair in ((r, {"epoch": r["epoch"], "loss": 1.0}) for r in rows) for row in pair]


@pytest.mark.parametrize(
    ("rows", "finished", "said"),
    [
        ([], True, None),
        (course(0.5, 0.6, 0.7), False, None),
        (course(0.5, 0.6, 0.7), True, "the best of all at the end: more epochs are likely"),
        (course(0.5, 0.7, 0.6), True, "it is not yet clear whether more epochs would help"),
        (course(0.5, 0.7, 0.6, 0.7), False, "not improved since epoch 2 (70.0 %): more epochs"),
        (course(0.5, 0.4, 0.3, untrained=0.6), False, "no better than before training"),
        (course(0.5, 0.55, untrained=0.6), False, None),
        (course(0.5, 0.55, untrained=0.6), True, "this training does not help"),
        (course(0.5, untrained=0.6), True, "measured once, it tells no course"),
    ],
)
def test_the_verdict_on_further_training(rows, finished, said):
    verdict = feature_verdict(rows, patience=2, finished=finished)
    assert verdict is None if said is None else said in verdict


def test_information_is_said_in_nats_and_not_in_percent():
    rows = [{"epoch": e, "val_mutual_information": v} for e, v in enumerate((1.5, 1.2, 1.1), 1)]
    said = feature_verdict(rows, monitor="val_mutual_information", patience=2)
    assert said.startswith("held-out mutual information has not improved since epoch 1 (1.5):")


def test_without_labels_the_verdict_goes_by_the_best_of_what_is_there():
    trained = [{"epoch": e, "mutual_information": v} for e, v in enumerate((1.0, 2.0, 3.0), 1)]
    said = feature_verdict(trained)
    assert said.startswith("mutual information of training reached 3 at epoch 3")
    held_out = [{**row, "val_mutual_information": 4 - row["epoch"]} for row in trained]
    assert feature_verdict(held_out).startswith("held-out mutual information reached 3 at epoch 1")
    labeled = [{**row, "knn_accuracy": 0.5} for row in held_out]
    assert feature_verdict(labeled).startswith("kNN accuracy reached 50.0 %")
    assert feature_verdict([{"epoch": 1, "loss": 2.0}]) is None


def run(name, accuracy, *, seeds=3, data="x"):
    cells = summary({"cpc_frozen": {0.01: accuracy}, "cnn": SCRATCH}, seeds=seeds)
    return RunEvidence(name, results={"summary": cells, "settings": {"data": data}})


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([run("a", 0.6), run("b", 0.7)], "b reaches 70.0 % (CPC, frozen + linear probe) and a 60."),
        ([run("a", 0.6), run("b", 0.7)], "each of 3 seeds ahead of each of the other's."),
        (
            [run("a", 0.69), run("b", 0.7)],
            "some seed of the second is as good as some of the first",
        ),
        ([run("a", 0.6, seeds=2), run("b", 0.7)], "2 pre-training seed(s): an observation"),
        ([run("a", 0.6), run("b", 0.7, data="y")], "measured with different data"),
    ],
)
def test_runs_are_compared_in_sentences(runs, said):
    assert said in " ".join(compare_runs(runs))


def test_one_run_is_not_compared():
    assert compare_runs([run("a", 0.6), RunEvidence("bare")]) == []


def test_neighbors_in_feature_space_are_neighbors_on_the_map():
    labels = np.repeat(np.arange(4), 40)
    features = RNG.normal(size=(160, 60)) + 3 * RNG.normal(size=(4, 60))[labels]
    points = feature_map(features)
    np.testing.assert_array_equal(points, feature_map(features))
    assert points.min() == 0 and points.max() == pytest.approx(1)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    nearest = distance.argsort(axis=1)[:, :5]
    assert (labels[nearest] == labels[:, None]).mean() > 0.95
    assert np.isfinite(feature_map(np.ones((5, 3)))).all()
    with pytest.raises(ValueError, match=r"at least 4 images\. Received 3"):
        feature_map(features[:3])


def test_thumbnails_are_means_of_what_they_stand_for():
    images = RNG.integers(0, 256, (2, 8, 4, 3), "uint8")
    small = thumbnails(images, 4)
    blocks = images.reshape(2, 4, 2, 2, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small, blocks, atol=1.01)  # rounded along each axis
    many = thumbnails(RNG.integers(0, 256, (2, 8, 8, 5), "uint8"), 64)
    assert many.shape == (2, 8, 8, 1)


def small_model(**options):
    keras.utils.set_random_seed(0)
    return CPCModel(
        (16, 12, 1),
        patch_encoder="mlp",
        patch_size=4,
        patch_stride=4,
        **{"offsets": (1, 2), "directions": ("down", "left"), **options},
        context_blocks=1,
        context_filters=8,
        patch_augmentation=None,
        seed=0,
    )


def slow_ranks(model, images, same_position):
    """Ranks of the true patches by place, direction and offset, one prediction at a time."""
    outputs = {k: np.asarray(v) for k, v in model(images.astype("float32")).items()}
    targets = outputs["targets"]
    count, rows, columns, _ = targets.shape
    ranks = {}
    for image in range(count):
        for row in range(rows):
            for column in range(columns):
                for direction, (down, right) in {"down": (1, 0), "left": (0, -1)}.items():
                    for offset in (1, 2):
                        to = (row + offset * down, column + offset * right)
                        if not (0 <= to[0] < rows and 0 <= to[1] < columns):
                            continue
                        # In the frame that is turned so that left points down.
                        at = (row, column) if direction == "down" else (columns - 1 - column, row)
                        prediction = outputs[f"{direction}_{offset}"][(image, *at)]
                        places = [to] if same_position else list(np.ndindex(rows, columns))
                        scores = [
                            prediction @ targets[(i, *place)]
                            for i in range(count)
                            for place in places
                        ]
                        true = prediction @ targets[(image, *to)]
                        rank = sum(s >= true - 1e-6 * abs(true) for s in scores)
                        ranks[image, row, column, *to, direction, offset] = rank
    return ranks


@pytest.mark.parametrize("candidates", ["all", "same_position"])
def test_retrieval_ranks_patches_as_one_by_one(candidates):
    images = RNG.integers(0, 256, (5, 16, 12, 1), "uint8")
    model = small_model(candidates=candidates)
    found = retrieve_patches(model, images, num_contexts=4, num_retrieved=3)
    ranks = slow_ranks(model, images, candidates == "same_position")
    assert found.num_candidates == (5 if candidates == "same_position" else 5 * 4 * 3)
    everything = np.array(list(ranks.values()))
    assert found.top_1 == pytest.approx((everything == 1).mean())
    assert found.top_5 == pytest.approx((everything <= 5).mean())
    assert len(set(found.image.tolist())) == 4
    for k in range(4):
        key = (int(found.image[k]), *found.context[k].tolist(), *found.target[k].tolist())
        assert found.rank[k] == ranks[(*key, str(found.direction[k]), int(found.offset[k]))]
        row, column = 4 * found.target[k]
        true = images[found.image[k], row : row + 4, column : column + 4]
        np.testing.assert_array_equal(found.true_patch[k], true)
        shown = [(patch == true).all() for patch in found.patches[k]]
        assert shown == found.is_true[k].tolist()
        assert found.is_true[k].any() == (found.rank[k] <= 3)


@pytest.mark.parametrize("names", [("a", "b", "c", "nowhere"), ("a",), ()])
def test_classes_without_images_or_names_have_their_place(names):
    images = RNG.integers(0, 256, (12, 16, 12, 1), "uint8")
    data = ImageData(images, np.arange(12) % 3, class_names=names)
    predicted = np.arange(12) % 3
    pictures = run_pictures(small_model(), Splits(data, data), predicted=predicted)
    found = _confusion(pictures)
    assert found["right"] == 12 and len(found["rows"]) == max(3, len(names))
    assert found["names"][: len(names)] == list(names)


def test_names_with_dollars_and_underscores_are_drawn():
    lines = [{"title": r"_a$\foo$", "points": [(1, 2.0)], "color": 1, "dashes": 0}]
    svg = course_chart(lines, name="one", title="Loss", unit="nats")
    assert svg.count(r"_a$\foo$") == 2  # in the description and in the legend


def test_pictures_of_a_run_come_back_from_their_file(tmp_path):
    def data(count):
        images = RNG.integers(0, 256, (count, 16, 12, 1), "uint8")
        return ImageData(images, np.arange(count) % 3, class_names=("a", "b", "c"))

    splits = Splits(data(20), data(12))
    predicted = np.array([0, 1, 2, 1] * 3)
    pictures = run_pictures(small_model(), splits, predicted=predicted)
    from sklearn.metrics import confusion_matrix

    expected = confusion_matrix(splits.test.labels, predicted)
    np.testing.assert_array_equal(pictures["confusion"], expected)
    labels = splits.train.labels
    assert pictures["near_labels"].shape == (3, 5) and set(labels) >= {*pictures["near_labels"][0]}
    assert len(pictures["map_points"]) == 12 and len(pictures["patch_rank"]) == 6
    save_pictures(tmp_path, pictures)
    again = load_pictures(tmp_path)
    assert set(again) == set(pictures)
    for name, array in pictures.items():
        np.testing.assert_array_equal(array, again[name])
    assert load_pictures(tmp_path / "nowhere") == {}
    (tmp_path / "pictures.npz").write_bytes((tmp_path / "pictures.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match="run cpc-keras evaluate again"):
        load_pictures(tmp_path)


def test_charts_are_svg_with_the_colors_of_the_page_and_names_of_their_own():
    lines = [{"title": "a < b", "points": [(1, 2.0), (2, 3.0)], "color": 1, "dashes": 0}]
    first, second = (
        course_chart(lines, name=name, title="Loss", unit="nats") for name in ("one", "two")
    )
    label = label_chart([("CPC", summary({"cpc_frozen": SCRATCH}))], name="three")
    for svg in (first, second, label):
        root = ET.fromstring(svg)
        assert root.attrib["role"] == "img" and root.attrib["aria-label"]
        assert "#fe0" not in svg and "currentColor" in svg and "<metadata" not in svg
        ids = re.findall(r'\bid="([^"]*)"', svg)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= set(ids)
    assert not {*re.findall(r'\bid="([^"]*)"', first)} & {*re.findall(r'\bid="([^"]*)"', second)}
    assert "var(--series-1)" in first and "a &lt; b from 2 to 3" in first
    assert "50.0 % at 1 %, 70.0 % at 10 %, 90.0 % at 100 %" in label
