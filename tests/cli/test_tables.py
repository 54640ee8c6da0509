"""cpc-keras tables: what is measured, kept and told, on tiny made-up images."""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import types

import numpy as np
import pytest
from click.testing import CliRunner

from cpc_keras.cli import tables as module
from cpc_keras.cli.chosen_data import ChosenData
from cpc_keras.cli.tables import Plan, compare_methods, tables
from cpc_keras.data import ImageData, Splits
from cpc_keras.evaluation import (
    PUBLISHED_RESULTS,
    draw_method_tables,
    format_method_tables,
    label_scores,
    method_tables,
    top_k_accuracy,
)
from cpc_keras.methods import METHODS
from cpc_keras.methods.table_rows import OPTIONS, Scale, build_row, table_rows

RESULTS = pathlib.Path(__file__).parents[2] / "benchmarks" / "results"


def some_data(count, seed):
    """Eight classes, each a picture in noise."""
    labels = np.arange(count) % 8
    pictures = np.random.default_rng(9).integers(0, 200, (8, 16, 16, 3))
    noise = np.random.default_rng(seed).integers(0, 55, (count, 16, 16, 3))
    return ImageData((pictures[labels] + noise).astype("uint8"), labels)


def cell(row="cpc_v2", table="low_data", fraction=0.1, seed=0, top_1=0.5, top_5=0.9):
    return {
        "row": row,
        "table": table,
        "fraction": fraction,
        "seed": seed,
        "top_1": top_1,
        "top_5": top_5,
        "num_labels": 80,
    }


def test_top_k_takes_the_first_of_equal_scores_as_argmax_does():
    scores = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0], [0.3, 0.4, 0.3]])
    labels = np.array([2, 1, 2])
    assert top_k_accuracy(scores, labels, 1) == np.mean(scores.argmax(axis=1) == labels)
    assert top_k_accuracy(scores, labels, 2) == pytest.approx(2 / 3)
    assert top_k_accuracy(scores, labels, 3) == 1.0


def test_the_setting_is_chosen_on_held_out_labels_and_scored_once_on_the_test_images():
    labels = np.arange(40) % 2
    asked = []

    class Row:
        settings = ({"right": False}, {"right": True})

        def fit_predict(self, index, given, *, setting, held_out=None):
            asked.append((len(index), held_out is None))
            truth = labels if held_out is None else labels[held_out]
            assert held_out is None or not set(index) & set(held_out)
            return np.eye(2)[truth if setting["right"] else 1 - truth]

    index = np.arange(20)
    found = label_scores(Row(), index=index, train_labels=labels, test_labels=labels)
    assert found == {"top_1": 1.0, "top_5": None, "num_labels": 20, "setting": {"right": True}}
    assert [on_test for _, on_test in asked] == [False, False, True] and asked[-1][0] == 20


def test_a_table_holds_means_deviations_and_what_is_missing():
    cells = [cell(seed=s, top_1=v) for s, v in enumerate((0.5, 0.6, 0.7))]
    found = method_tables(cells, built=["cpc_v2", "vat"])
    rows = {row["row"]: row for row in found["low_data"]}
    ten = rows["cpc_v2"]["columns"][1]
    assert ten["top_1"] == pytest.approx({"mean": 60.0, "deviation": 10.0})
    assert ten["seeds"] == [0, 1, 2] and ten["published_top_5"] == "84.88 / 91.2"
    states = {name: row["state"] for name, row in rows.items()}
    assert states["cpc_v2"] == "measured"
    assert states["vat"] == "not measured" and states["moam"] == "not built"
    assert "vat" not in {row["row"] for row in found["linear"]}  # published for few labels alone
    text = format_method_tables(found)
    line = next(line for line in text.splitlines() if "CPC v2" in line and "60.0" in line)
    assert "60.0 ± 10.0 (3)" in line and "*not measured*" in line and "top-5 64.03" in line
    assert "*not built*" in text


def test_the_published_numbers_are_those_of_the_papers():
    # FACTS, the slides and S4L's own table, typed a second time.
    assert PUBLISHED_RESULTS["cpc_v1"][1:3] == ("48.7", "73.6")
    assert PUBLISHED_RESULTS["rotation_joint"][3:5] == ("53.37", "83.82")
    assert PUBLISHED_RESULTS["vat_entropy"][3:5] == ("46.96", "83.39")
    assert PUBLISHED_RESULTS["simclr"].top_1 == "69.3"


def test_pictures_are_drawn_of_what_is_measured(tmp_path):
    found = method_tables([cell(), cell("supervised")], built=["cpc_v2", "supervised"])
    assert [path.name for path in draw_method_tables(found, tmp_path)] == ["low_data.png"]
    assert (tmp_path / "low_data.png").stat().st_size > 5000


def test_every_method_is_a_row_and_has_the_same_encoder():
    assert set(table_rows().values()) == set(METHODS)
    scale = Scale((32, 32, 3), "tiny", num_images=50, num_steps=200)
    sizes = {}
    for row in table_rows():
        model = build_row(row, scale, num_classes=10, seed=0)
        sizes[row] = model.encoder.count_params()
    # CPC v1 is without normalization, and so without its few weights.
    assert max(sizes.values()) < 1.05 * min(sizes.values()), sizes
    assert build_row("pseudo_label", scale, num_classes=10).terms[0].ramp == (20, 100)


@pytest.mark.parametrize(
    ("sides", "stride"),
    [
        *(((28, 28), 4), ((32, 32), 4), ((64, 64), 8), ((96, 96), 12)),
        # An eighth leaves pixels over.
        *(((30, 30), 3), ((50, 50), 5), ((100, 100), 10), ((28, 30), 2), ((8, 8), 2)),
    ],
)
def test_patches_of_cpc_fill_images_of_any_size_that_they_can(sides, stride):
    options = OPTIONS["cpc"][1](Scale((*sides, 3), "tiny", num_images=50, num_steps=200))
    assert (options["patch_stride"], options["patch_size"]) == (stride, 2 * stride)
    assert not any(side % stride for side in sides)
    assert max(options["offsets"]) < min(sides) // stride - 1


@pytest.fixture(scope="module")
def splits():
    return Splits(some_data(96, 0), some_data(64, 1))


def plan(**options):
    settings = {"data": "made up", "encoder": "mlp", "batch_size": 16, "seeds": (0,), "epochs": 2}
    return Plan.of(**{**settings, **options})


def test_it_measures_resumes_and_keeps_what_is_there(splits, tmp_path, monkeypatch):
    rates = {"learning_rates": (3e-3,)}
    first = plan(only="random,random_patches,cpc_pair", **rates)
    compare_methods(splits, tmp_path, first)
    told = json.loads((tmp_path / "results.json").read_text())
    assert len(told) == 3
    trained = {e["settings"]["row"]: e["training"] for e in told.values()}
    assert trained["random"] == trained["random_patches"] == {}
    assert trained["cpc_pair"]["epoch"] == 2 and trained["cpc_pair"]["loss"] > 0

    # Nothing is trained again, and another row joins the same tables.
    runs = []
    run = module.run_pretraining

    def counted(*args, **kwargs):
        runs.append(kwargs["run_directory"])
        return run(*args, **kwargs)

    monkeypatch.setattr(module, "run_pretraining", counted)
    found = compare_methods(splits, tmp_path, plan(only="random,cpc_pair,vat", **rates))
    assert len(runs) == 2  # vat with 1 and with 10 % of the labels
    measured = {row["row"] for row in found["low_data"] if row["state"] == "measured"}
    assert measured == {"random", "random_patches", "cpc_pair", "vat"}
    linear = {row["row"]: row for row in found["linear"]}
    assert linear["random"]["columns"][0]["num_labels"] == 96
    # Pictures in noise: a linear probe finds them in any features.
    untrained = [linear[row]["columns"][0]["top_1"]["mean"] for row in ("random", "random_patches")]
    assert min(untrained) > 50
    assert "*not measured*" in (tmp_path / "tables.md").read_text()
    assert (tmp_path / "linear.png").exists() and (tmp_path / "tables.json").exists()


def test_other_rates_are_no_further_seeds(splits, tmp_path, monkeypatch):
    def measured(self, unit):
        return [cell(row=unit.row, table="linear", fraction=1.0)], {}

    monkeypatch.setattr(module._Comparison, "_features", measured)
    for rate in (1e-3, 3e-3):
        some = plan(only="cpc_pair", learning_rate=rate)
        found = compare_methods(splits, tmp_path, some)
        (row,) = (row for row in found["linear"] if row["row"] == "cpc_pair")
        assert row["columns"][0]["seeds"] == [0]
    assert len(json.loads((tmp_path / "results.json").read_text())) == 2


def test_rows_that_cannot_be_measured_are_refused_before_others_are(splits, tmp_path):
    with pytest.raises(ValueError, match="these rows cannot be measured") as caught:
        compare_methods(splits, tmp_path, plan(only="random,jigsaw,supervised,vat", ratio=2))
    told = str(caught.value)
    assert "\njigsaw: The encoder runs over images" in told
    assert "\nvat: a batch of 16 does not divide into one labelled to 2 unlabelled" in told
    assert "that is a multiple of 3, such as 15." in told
    assert told.endswith("leave them out: --only random,supervised.")
    assert not (tmp_path / "results.json").exists()


def test_test_images_need_labels_and_may_have_a_class_of_their_own(splits, tmp_path):
    bare = Splits(splits.train, dataclasses.replace(splits.test, labels=None))
    with pytest.raises(ValueError, match="without labels"):
        compare_methods(bare, tmp_path, plan(only="random"))
    some = splits.train.subset(splits.train.labels < 7)
    found = compare_methods(Splits(some, splits.test), tmp_path, plan(only="random"))
    (row,) = (row for row in found["linear"] if row["row"] == "random")
    assert row["state"] == "measured"


@pytest.mark.parametrize(("row", "side"), [("random", 16), ("random_patches", 4)])
def test_untrained_encoders_are_of_images_and_of_patches(row, side, splits, tmp_path, monkeypatch):
    models = []
    build = module.build_row
    monkeypatch.setattr(
        module,
        "build_row",
        lambda *args, **options: models.append(build(*args, **options)) or models[0],
    )
    module._Comparison(splits, tmp_path, plan(only=row)).measure(module._Unit(row, 0))
    (model,) = models
    seen = model.image_shape if row == "random" else 2 * (model.get_config()["patch_size"],)
    assert tuple(seen[:2]) == (side, side)


def test_a_unit_that_another_process_has_is_left_to_it(splits, tmp_path):
    only = plan(only="random")
    comparison = module._Comparison(splits, tmp_path, only)
    (unit,) = comparison.units()
    (tmp_path / "locks").mkdir()
    with open(tmp_path / "locks" / module._key(comparison._settings(unit)), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not comparison.measure(unit)
    assert comparison.measure(unit)


def test_what_another_process_measured_meanwhile_is_not_measured_again(
    splits, tmp_path, monkeypatch
):
    comparison = module._Comparison(splits, tmp_path, plan(only="random"))
    (unit,) = comparison.units()
    lock = module.result_lock

    @contextlib.contextmanager
    def let_go(path, **options):
        # Between the first look and the lock.
        if path.parent.name == "locks":
            comparison._keep(comparison._settings(unit), {"cells": [], "training": {}})
        with lock(path, **options) as mine:
            yield mine

    monkeypatch.setattr(module, "result_lock", let_go)
    monkeypatch.setattr(module._Comparison, "_features", lambda self, unit: pytest.fail("again"))
    assert comparison.measure(unit)


def test_processes_write_the_tables_one_after_the_other(splits, tmp_path, monkeypatch):
    def draw(found, out):
        with open(tmp_path / "tables.lock") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return []

    monkeypatch.setattr(module, "draw_method_tables", draw)
    compare_methods(splits, tmp_path, Plan("some", ("random",), (0,), "epochs", 1), report=True)
    assert (tmp_path / "tables.md").exists()
    with open(tmp_path / "tables.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_learning_rate_is_chosen_by_held_out_labels_of_half_runs(splits, tmp_path, monkeypatch):
    epochs = {}
    run = module.run_pretraining

    def counted(*args, recipe, labeled_index, **kwargs):
        epochs[recipe.learning_rate] = (recipe.num_epochs, len(labeled_index))
        return run(*args, recipe=recipe, labeled_index=labeled_index, **kwargs)

    monkeypatch.setattr(module, "run_pretraining", counted)
    comparison = module._Comparison(splits, tmp_path, plan(learning_rates=(1e-5, 3e-3)))
    unit = module._Unit("supervised", 0, 1.0)
    rate = comparison._rate(unit)
    assert epochs == {1e-5: (1, 72), 3e-3: (1, 72)}
    trials = {e["settings"]["trial"]: e["trial_accuracy"] for e in comparison.found().values()}
    assert rate == max(trials, key=trials.get)
    assert comparison._rate(module._Unit("supervised", 1, 1.0)) == rate  # of seed 0, kept


def test_a_rate_that_diverges_is_the_worst_and_ends_nothing(splits, tmp_path, monkeypatch):
    def train(self, row, recipe, index):
        if recipe.learning_rate == 1e3:
            raise FloatingPointError("The loss is nan")
        classifier = types.SimpleNamespace(predict=lambda images, **_: np.zeros((len(images), 8)))
        return types.SimpleNamespace(classifier=classifier), {}

    monkeypatch.setattr(module._Comparison, "_run", train)
    comparison = module._Comparison(splits, tmp_path, plan(learning_rates=(1e3, 3e-3)))
    assert comparison._rate(module._Unit("supervised", 0, 1.0)) == 3e-3
    trials = {e["settings"]["trial"]: e["trial_accuracy"] for e in comparison.found().values()}
    assert trials[1e3] == 0.0 < trials[3e-3]


def test_minutes_become_steps_once_and_for_all(splits, tmp_path, monkeypatch):
    monkeypatch.setattr(module._Comparison, "_seconds_a_step", lambda self, row: 0.5)
    timed = plan(epochs=None, minutes=1.0)
    comparison = module._Comparison(splits, tmp_path, timed)
    assert comparison._length("cpc") == {"num_epochs": 10, "steps_per_epoch": 12}
    monkeypatch.setattr(module._Comparison, "_seconds_a_step", lambda self, row: 99.0)
    assert comparison._length("cpc") == {"num_epochs": 10, "steps_per_epoch": 12}
    by_steps = module._Comparison(splits, tmp_path, plan(epochs=None, steps=62))
    assert by_steps._length("x") == {"num_epochs": 10, "steps_per_epoch": 6}


def test_another_ratio_times_those_rows_anew_that_have_one(splits, tmp_path, monkeypatch):
    steps = {}
    for ratio, seconds in ((1, 0.5), (3, 1.0)):
        monkeypatch.setattr(module._Comparison, "_seconds_a_step", lambda self, row, s=seconds: s)
        timed = module._Comparison(splits, tmp_path, plan(epochs=None, minutes=1.0, ratio=ratio))
        rows = ("cpc", "supervised", "vat")
        steps[ratio] = [timed._length(row)["steps_per_epoch"] for row in rows]
    assert steps == {1: [12, 12, 12], 3: [12, 12, 6]}
    # Results that were kept before are found again.
    timings = [e["settings"]["ratio"] for e in timed.found().values()]
    assert sorted(timings) == [1, 1, 1, 3]


def test_the_names_of_results_stay_what_they_were(splits, tmp_path):
    kept = json.loads((RESULTS / "tables_cifar10.json").read_text())
    shown = plan(data="tfds:cifar10", encoder="tiny", batch_size=64, epochs=None, minutes=8.0)
    comparison = module._Comparison(splits, tmp_path, shown)
    comparison.common["pixels"] = "a6779f9c6850357c"
    for key, entry in kept.items():
        assert module._key(entry["settings"]) == key
        if "cells" in entry:
            assert comparison._settings(module._unit_of(entry)) == entry["settings"]
    (tmp_path / "results.json").write_text(json.dumps(kept))
    for row, steps in (("cpc", 61), ("supervised", 454), ("vat", 112)):
        assert comparison._length(row) == {"num_epochs": 10, "steps_per_epoch": steps}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "cpc,nonsense"], "Received: nonsense"),
        (["--epochs", "2", "--steps", "3"], "Give one budget. Received: epochs, steps"),
    ],
)
def test_bad_options_get_an_answer(arguments, message, monkeypatch, splits, tmp_path):
    monkeypatch.setattr(ChosenData, "load", lambda self: splits)
    result = CliRunner().invoke(tables, ["--data", "x", "--out", str(tmp_path), *arguments])
    assert result.exit_code == 2 and message in result.output
