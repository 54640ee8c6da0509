"""The `cpc-keras` command, on a small folder of images."""

import contextlib
import importlib
import json
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import PIL.Image
import pytest

import cpc_keras
from cpc_keras.cli.main import COMMANDS, cli, main
from cpc_keras.cli.measure_runs import RunMeasurement
from cpc_keras.cli.pretrain import STARTED
from cpc_keras.cli.read_evidence import read_evidence
from cpc_keras.cli.report import report_title
from cpc_keras.data import load_data
from cpc_keras.training.checkpoints import load_newest, newest_checkpoint

# The folder holds a broken file on purpose, and the library warns of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*cannot be read:UserWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of 16 training images and 8 test images each, and one broken file."""
    root = tmp_path_factory.mktemp("data") / "photos"
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("test", 8)):
        for name, side in (("left", 0), ("right", 10)):
            directory = root / split / name
            directory.mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 80, (20, 20), "uint8")
                image[:, side : side + 10] += 150
                PIL.Image.fromarray(image).save(directory / f"{i}.png")
    (root / "train" / "left" / "broken.png").write_bytes(b"no image")
    return root


PRETRAIN = ["--epochs", "2", "--batch-size", "8", "--patch-encoder", "tiny", "--patch-size", "4"]
PRETRAIN += ["--patch-stride", "4", "--offsets", "1,2", "--patch-augmentation", "light"]
PRETRAIN += ["--save-encoders-every", "1"]


def run(capsys, *arguments):
    """Run the command; return exit status and what it printed."""
    before = sys.argv
    sys.argv = ["cpc-keras", *map(str, arguments)]
    try:
        main()
        status = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.fixture(scope="module")
def pretrained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "photos"
    command = [sys.executable, "-m", "cpc_keras.cli.main", "pretrain", "--data", str(folder)]
    done = subprocess.run(
        [*command, "--out", str(out), *PRETRAIN], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return out, done


def test_pretrain_writes_an_artifact_that_keras_opens(pretrained):
    out, done = pretrained
    encoder = keras.saving.load_model(out / "artifact")
    assert encoder.predict(np.zeros((1, 20, 20, 1)), verbose=0).shape == (1, 64)
    assert str(out / "artifact") in done.stdout
    assert "step/s" in done.stderr or "s/step" in done.stderr  # the rate


def test_pre_training_leaves_the_images_out_that_others_will_measure_on(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), "uint8")
    np.savez(tmp_path / "scans.npz", images=images, labels=np.arange(30) % 3)
    np.save(tmp_path / "bare.npy", images)
    seen = {}

    def look(splits, *args, facts, **kwargs):
        seen["pretrain"], seen["facts"] = splits, facts
        raise FileNotFoundError("enough")

    def compare(splits, *args, **kwargs):
        seen["evaluate"] = splits

    monkeypatch.setattr("cpc_keras.cli.pretrain.pretrain_and_export", look)
    monkeypatch.setattr("cpc_keras.cli.evaluate.compare", compare)
    for options in ((), ("--test-fraction", "0.5")):
        scans = ("--data", str(tmp_path / "scans.npz"), *options)
        with pytest.raises(FileNotFoundError, match="enough"):
            cli.main(["pretrain", *scans, "--out", str(tmp_path / "a")], standalone_mode=False)
        cli.main(["evaluate", str(tmp_path), *scans], standalone_mode=False)
        for part in (0, 1):
            ours, theirs = (seen[name][part].images for name in ("pretrain", "evaluate"))
            np.testing.assert_array_equal(ours, theirs)
        assert len(seen["pretrain"].test) == (15 if options else 6)
        assert seen["facts"].get("test_fraction") == (0.5 if options else None)
    # Without labels nobody can be measured: all are there to learn from.
    bare = ("pretrain", "--data", str(tmp_path / "bare.npy"), "--out", str(tmp_path / "a"))
    with pytest.raises(FileNotFoundError, match="enough"):
        cli.main(bare, standalone_mode=False)
    assert len(seen["pretrain"].train) == 30


def test_the_same_weights_are_not_two_seeds_and_steps_are_two(pretrained, folder, capsys):
    out, _ = pretrained
    command = ("evaluate", out, out / "artifact", "--data", folder, "--out", out / "twice")
    status, _, error = run(capsys, *command)
    assert status == 1 and "artifact hold the same weights" in error
    status, _, error = run(capsys, "evaluate", out, "--data", folder, "--steps", "100")
    assert status == 1 and "such as 150,250. Received: 100." in error


def test_results_depend_on_pixels_labels_and_given_subsets(tmp_path, monkeypatch):
    found = []

    def look(splits, runs, out, *, settings, **kwargs):
        found.append(settings)
        raise FileNotFoundError("enough")

    monkeypatch.setattr("cpc_keras.cli.evaluate.RunMeasurement", look)
    images, path, subsets = np.zeros((30, 8, 8, 1), "uint8"), tmp_path / "a.npz", tmp_path / "s"
    subsets.mkdir()
    command = ["evaluate", str(tmp_path), "--data", str(path), "--fractions", "1"]
    for labels, fraction, text in ((3, 0.2, "a"), (2, 0.2, "a"), (2, 0.5, "a"), (2, 0.5, "b")):
        np.savez(path, images=images, labels=np.arange(30) % labels)
        (subsets / "1-draw-0.csv").write_text(text)
        options = ["--test-fraction", str(fraction), "--subsets", str(subsets)]
        with pytest.raises(FileNotFoundError, match="enough"):
            cli.main([*command, *options], standalone_mode=False)
    assert len({json.dumps(settings) for settings in found}) == 4


SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"


def test_a_script_is_its_command():
    command = [sys.executable, str(SCRIPTS / "pretrain.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert " pretrain [OPTIONS]" in done.stdout


@pytest.mark.parametrize("name", ["evaluate", "export"])
def test_scripts_are_the_commands(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with contextlib.suppress(SystemExit):
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    assert f" {name} [OPTIONS]" in capsys.readouterr().out


def test_unreadable_files_are_counted_and_listed(pretrained):
    out, done = pretrained
    assert "1 files could not be read" in done.stdout
    assert "broken.png" in (out / "skipped.csv").read_text()


@pytest.mark.slow
def test_a_streamed_run_trains_the_same_and_lists_what_it_could_not_read(folder, tmp_path, capsys):
    def train(name, *arguments):
        data = ("--data", folder / "train" / "right", "--image-size", 20, "--channels", 1)
        status, _, error = run(
            capsys, "pretrain", *data, "--out", tmp_path / name, *PRETRAIN, *arguments
        )
        assert status == 0, error
        return (tmp_path / name / "metrics.csv").read_text().split()

    assert train("streamed", "--stream") == train("held")
    (tmp_path / "photos").mkdir()
    for path in (folder / "train" / "left").iterdir():
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    status, printed, _ = run(
        capsys,
        *("pretrain", "--data", tmp_path / "photos", "--out", tmp_path / "broken", *PRETRAIN),
        *("--stream", "--image-size", 20, "--channels", 1),
    )
    assert status == 0 and "1 files could not be read" in printed
    assert "broken.png" in (tmp_path / "broken" / "skipped.csv").read_text()


def test_data_check_tells_what_is_there_unreadable_and_there_twice(folder, tmp_path, capsys):
    copied = tmp_path / "photos"
    shutil.copytree(folder, copied)
    shutil.copy(copied / "train" / "left" / "3.png", copied / "test" / "left" / "copy.png")
    shutil.copy(copied / "train" / "right" / "5.png", copied / "train" / "right" / "again.png")
    listed = tmp_path / "skipped.csv"
    command = ("data", "check", "--data", copied, "--skipped", listed)
    status, printed, error = run(capsys, *command)
    assert status == 0, error
    for text in (
        "train: 33 images of 20x20x1",
        "2 classes: left (16), right (17)",
        "1 are copies of others: train/right/again.png = train/right/5.png",
        "test: 17 images",
        "also training images: 1: test/left/copy.png = train/left/3.png",
        "cannot be read: 1",
    ):
        assert text in printed
    assert "broken.png" in printed and "broken.png" in listed.read_text()
    assert run(capsys, *command)[0] == 1  # what is there is not written over
    assert "test: none" in run(capsys, "data", "check", "--data", copied / "train" / "left")[1]


EVALUATE = ("--fractions", "0.5,1", "--draws", "1", "--steps", "2,2")


def evaluate(out, folder, *arguments):
    """In a process of its own: how operations are computed depends on what one has done before."""
    command = [sys.executable, "-m", "cpc_keras.cli.main", "evaluate", str(out)]
    command += ["--data", str(folder), *EVALUATE, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def evaluated(pretrained, folder):
    out, _ = pretrained
    return out, evaluate(out, folder)


@pytest.mark.slow
def test_evaluate_prints_a_table_and_writes_results_and_report(evaluated):
    out, printed = evaluated
    for text in ("CPC, fine-tuned", "ordinary CNN", "50% (16)", "100% (32)", "report.html"):
        assert text in printed
    results = json.loads((out / "results.json").read_text())
    assert {r["row"] for r in results["results"]} == {
        "cpc_frozen",
        "cpc_fine_tuned",
        "supervised",
        "random_frozen",
        "raw_pixels",
        "cnn",
    }
    assert len(results["results"]) == 6 * 2
    assert [r["protocol"] for r in results["protocols"]] == ["linear_probe", "nearest_neighbors"]
    for told in ("linear probe, seed 0, all 32 labels: top-1", "nearest neighbors, seed 0"):
        assert told in printed
    assert results["facts"]["pre-training"].endswith("32 images, no labels")
    assert results["facts"]["overlap"].startswith("0 of 16 test images are also training images")
    assert all(0 <= low <= high <= 1 for low, high in (c["interval"] for c in results["summary"]))
    (curve,) = results["iteration_curves"]
    assert [(p["epoch"], p["step"]) for p in curve] == [(0, 0), (1, 4), (2, 8)]
    assert not [*out.rglob("iteration_curve*")]
    assert "<svg" in (out / "report.html").read_text()
    assert sorted(path.name for path in (out / "subsets").iterdir()) == [
        "0.5-draw-0.csv",
        "1-draw-0.csv",
    ]


@pytest.mark.slow
def test_a_run_that_starts_from_another_tells_what_both_have_seen(
    pretrained, folder, tmp_path, capsys
):
    out, _ = pretrained
    command = ("pretrain", "--data", folder, "--out", tmp_path / "run", *PRETRAIN, "--init", out)
    status, printed, error = run(capsys, *command, "--epochs", 1)
    assert status == 0 and f"Starting from {out}: all weights." in printed, error
    told = json.loads((tmp_path / "run" / "artifact" / "preset.json").read_text())
    assert told["facts"]["init"] == str(out)
    assert told["data"].count("32 images, no labels") == 2 and STARTED in told["data"]
    status, printed, error = run(capsys, *command, "--epochs", 1)
    assert status == 0 and "Starting from" not in printed, error  # it is finished


@pytest.mark.slow
def test_frozen_features_are_measured_alone_and_the_other_rows_later(
    evaluated, folder, tmp_path, capsys
):
    out, _ = evaluated
    quick = ("--rows", "cpc_frozen,raw_pixels", "--protocols", "none")
    command = ("evaluate", out, "--data", folder, *EVALUATE, *quick, "--out")
    status, printed, error = run(capsys, *command, tmp_path)
    assert status == 0, error
    assert "raw pixels" in printed and "CNN" not in printed
    results = json.loads((tmp_path / "results.json").read_text())
    assert {r["row"] for r in results["results"]} == {"cpc_frozen", "raw_pixels"}
    assert "etwork" not in results["protocol"] and results["protocol"].endswith("say).")
    # With more rows, those that are there are not measured again.
    (measured,) = tmp_path.glob("measurements-*.jsonl")
    before = measured.read_text()
    more = ("--rows", "cpc_frozen,random_frozen,raw_pixels")
    status, printed, error = run(capsys, *command, tmp_path, *more)
    assert status == 0 and "random encoder" in printed, error
    assert measured.read_text().startswith(before)
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert [r["row"] for r in results].count("cpc_frozen") == 2 and len(results) == 6


@pytest.mark.parametrize("rows", ["cpc_frozen", "cpc_frozen,cpc_fine_tuned", "raw_pixels,cnn"])
def test_rows_are_compared_with_others(pretrained, folder, rows, capsys):
    status, _, error = run(capsys, "evaluate", pretrained[0], "--data", folder, "--rows", rows)
    assert status == 1 and f"Received: {rows}." in error and "random_frozen,raw_pixels" in error


@pytest.mark.slow
def test_processes_share_an_evaluation_on_subsets_that_were_written(evaluated, folder, tmp_path):
    out, _ = evaluated
    shared = tmp_path / "shared"
    arguments = (out, folder, "--out", shared, "--subsets", out / "subsets")
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(evaluate, *arguments) for _ in range(2)]
        tables = [process.result().split("Results:")[0] for process in both]
    assert tables[0] == tables[1]
    first, repeated = (json.loads((d / "results.json").read_text()) for d in (out, shared))
    assert repeated["summary"] == first["summary"]
    assert repeated["protocols"] == first["protocols"]
    # Each part was measured once.
    for name in ("measurements", "protocols"):
        lines = [next(d.glob(f"{name}-*.jsonl")).read_text().splitlines() for d in (out, shared)]
        assert len(lines[0]) == len(lines[1])


@pytest.mark.slow
def test_finetune_writes_a_classifier_and_overwrites_nothing(pretrained, folder, tmp_path, capsys):
    out = tmp_path / "classifier"
    arguments = ("finetune", pretrained[0], "--data", folder, "--out", out, "--steps", 4)
    status, printed, error = run(capsys, *arguments, "--fraction", 0.5)
    assert status == 0, error
    assert "of 16 test images" in printed and "with 16 labels" in printed
    assert keras.saving.load_model(out / "classifier.keras").output_shape == (None, 2)
    assert "8/8" in error  # two trials of two steps, and four
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["class_names"] == ["left", "right"] and "finetune" in metrics["command"]
    status, _, error = run(capsys, *arguments)
    assert status == 1 and "is there already" in error
    again = tmp_path / "again"
    arguments = ("finetune", pretrained[0], "--data", folder, "--out", again, "--steps", 4)
    assert run(capsys, *arguments, "--fraction", 0.5)[0] == 0
    first, second = (
        keras.saving.load_model(directory / "classifier.keras").get_weights()
        for directory in (out, again)
    )
    for weight, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(weight, other)


@pytest.fixture(scope="module")
def with_labels(folder, tmp_path_factory):
    """A run of a method that uses labels, and the command."""
    out = tmp_path_factory.mktemp("runs") / "labels"
    command = ["pretrain", "--data", str(folder), "--out", str(out), "--method", "supervised"]
    command += ["--set", "model.encoder=mlp", "--label-fraction", "0.5", "--crop-size", "16"]
    command += ["--epochs", "1", "--batch-size", "8", "--probe-every", "0", "--no-deterministic"]
    cli.main(command, standalone_mode=False)
    return out, command


def test_a_method_that_uses_labels_ends_with_a_classifier_and_its_accuracy(
    with_labels, folder, capsys
):
    out, command = with_labels
    metrics = json.loads((out / "classifier" / "metrics.json").read_text())
    assert (metrics["num_images"], metrics["num_labels"], metrics["fraction"]) == (16, 16, 0.5)
    assert metrics["class_names"] == ["left", "right"] and metrics["method"] == "supervised"
    test = load_data(str(folder)).test
    classifier = keras.saving.load_model(out / "classifier" / "classifier.keras")
    # The center of the images, as the encoder was trained on crops.
    probabilities = classifier.predict(test.images[:, 2:18, 2:18], verbose=0)
    assert metrics["top_1"] == (probabilities.argmax(axis=1) == test.labels).mean()
    assert (out / "classifier" / "saved_model" / "saved_model.pb").exists()
    # The same command finds all of it, writes nothing anew and tells it again.
    before = (out / "classifier" / "classifier.keras").stat()
    status, printed, error = run(capsys, *command)
    assert status == 0, error
    assert f"{metrics['top_1']:.1%} of 16 test images" in printed and "with 16 labels" in printed
    assert str(out / "classifier" / "saved_model") in printed
    assert "evaluate" not in printed
    assert (out / "classifier" / "classifier.keras").stat() == before


def test_encoders_that_have_seen_labels_are_not_evaluated_with_few(with_labels, folder, capsys):
    out, _ = with_labels
    data = ("--data", folder, "--image-size", 16)
    for encoder in (out, out / "artifact"):
        status, _, error = run(capsys, "evaluate", encoder, *data, "--out", out / "evaluated")
        assert status == 1
        assert f"The encoder of {encoder} was trained with labels" in error
        assert "classifier/metrics.json of the run; cpc-keras tables compares" in error


def test_an_evaluation_is_of_one_method(tmp_path):
    def measure(*methods):
        for method in methods:
            preset = {"method": method, "model": {}, "sha256": {"model.weights.h5": method}}
            (tmp_path / method).mkdir(exist_ok=True)
            (tmp_path / method / "preset.json").write_text(json.dumps(preset))
        return RunMeasurement(
            None,
            [tmp_path / method for method in methods],
            tmp_path,
            settings={"fractions": [1.0], "num_draws": 1, "data": "x", "pixels": "y"},
            rows=("cpc_frozen", "raw_pixels"),
            make_rows=None,
            subset=None,
            protocols=(),
        )

    assert measure("rotation").method == "rotation"
    with pytest.raises(ValueError, match=r"runs of one method.*cpc is of cpc, .*rotation is of"):
        measure("cpc", "rotation")


def test_pretrain_probes_features_and_says_what_they_tell(pretrained):
    out, done = pretrained
    first, last = (row.split(",") for row in (out / "metrics.csv").read_text().split()[::2])
    probed = dict(zip(first, last, strict=True))
    for name in ("knn_accuracy", "linear_accuracy"):
        assert 0 <= float(probed[name]) <= 1 and 0 <= float(probed[f"{name}_untrained"]) <= 1
    assert float(probed["effective_rank"]) >= 1
    assert float(probed["val_mutual_information_down_1"]) < np.log(8 * 25)
    assert "kNN accuracy" in done.stdout and "at epoch 2" in done.stdout


@pytest.mark.slow
def test_tensorboard_gets_scalars_of_the_probes_and_files_for_its_projector(
    folder, tmp_path, capsys
):
    command = ("pretrain", "--data", folder, "--out", tmp_path / "run", *PRETRAIN, "--tensorboard")
    status, _, error = run(capsys, *command, "--epochs", "1", "--probe-every", "1")
    assert status == 0, error
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    scalars = {}
    for part in ("train", "validation"):
        accumulator = EventAccumulator(str(tmp_path / "run" / "logs" / part))
        accumulator.Reload()
        scalars[part] = accumulator.Tags()["tensors"] + accumulator.Tags()["scalars"]
    assert {"epoch_knn_accuracy", "epoch_effective_rank", "epoch_loss"} <= {*scalars["train"]}
    assert "epoch_mutual_information_down_1" in scalars["validation"]
    names = (tmp_path / "run" / "logs" / "metadata.tsv").read_text().split()
    assert set(names) == {"left", "right"} and len(names) == 32


@pytest.mark.slow
def test_report_is_rebuilt_from_what_runs_hold_and_compares_them(evaluated, tmp_path, capsys):
    out, _ = evaluated
    made = (out / "report.html").read_bytes()
    assert run(capsys, "report", out)[0] == 0
    assert (out / "report.html").read_bytes() == made
    page = made.decode()
    for text in (
        "What is taken for what",
        "Which patches it thinks come next",
        "kNN, before training",
    ):
        assert text in page
    # The confusions are those of a row of the table: as many right as it says.
    results = json.loads((out / "results.json").read_text())
    frozen = [c for c in results["summary"] if (c["row"], c["fraction"]) == ("cpc_frozen", 1.0)]
    right = round(16 * frozen[0]["accuracy"])
    assert f"{right} of 16 right" in page and "on 32 labels" in page
    # Another place, and a run that was only pre-trained beside it.
    shutil.copytree(out, tmp_path / "moved")
    (tmp_path / "bare").mkdir()
    shutil.copy(out / "metrics.csv", tmp_path / "bare")
    both = (tmp_path / "moved", tmp_path / "bare", "--out", tmp_path / "two.html")
    status, printed, error = run(capsys, "report", *both)
    assert status == 0, error
    assert str(tmp_path / "two.html") in printed
    page = (tmp_path / "two.html").read_text()
    assert "moved, training" in page and "bare, training" in page
    assert "2 runs of contrastive predictive coding on" in page
    (tmp_path / "empty").mkdir()
    status, _, error = run(capsys, "report", tmp_path / "empty")
    assert status == 1 and "holds nothing to report" in error
    assert run(capsys, "report", out, tmp_path / "bare")[0] == 2  # where to?


def test_a_report_is_titled_by_its_methods(tmp_path):
    def title(*names):
        return report_title([read_evidence(tmp_path / name) for name in names])

    def make(name, *, config="cpc", preset=None, results=None):
        files = {"config.yaml": f"method: {config}\n", "metrics.csv": "epoch,loss\n1,2.0\n"}
        files |= {} if preset is None else {"preset.json": json.dumps({"method": preset})}
        told = {"method": results, "settings": {"data": "photos"}}
        files |= {} if results is None else {"results.json": json.dumps(told)}
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)

    make("begun", config="vat")
    make("exported", preset="pseudo_label")
    make("evaluated", results="rotation")
    make("cpc", results="cpc_v2")
    assert title("begun") == "Pre-training with vat"
    assert title("exported") == "Pre-training with pseudo label"
    assert title("evaluated") == "Pre-training with rotation on photos"
    assert title("cpc") == "Contrastive predictive coding on photos"
    assert title("cpc", "cpc") == "2 runs of contrastive predictive coding on photos"
    assert title("cpc", "evaluated") == "2 runs of pre-training on photos"


def test_export_writes_the_newest_checkpoint_and_overwrites_only_on_demand(
    pretrained, tmp_path, capsys
):
    out, _ = pretrained
    target = tmp_path / "mine"
    assert run(capsys, "export", out, target)[0] == 0
    status, _, error = run(capsys, "export", out, target)
    assert status == 1
    assert "overwrite" in error
    with_optimizer = (target / "pretraining.keras").stat().st_size
    assert run(capsys, "export", out, target, "--overwrite", "--no-optimizer")[0] == 0
    a, b = (keras.saving.load_model(p).get_weights() for p in (target, out / "artifact"))
    np.testing.assert_array_equal(a[0], b[0])
    assert (target / "pretraining.keras").stat().st_size < 0.6 * with_optimizer
    bare = keras.saving.load_model(target / "pretraining.keras")
    assert not bare.compiled
    for weight, other in zip(bare.get_weights(), load_newest(out).get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_describe_tells_of_recipes_runs_and_artifacts(pretrained, capsys):
    out, _ = pretrained
    larger = ("--image-size", 64, "--set", "model.patch_size=16", "--set", "model.patch_stride=8")
    assert "7x7" in run(capsys, "describe", "default", *larger)[1]
    status, printed, error = run(capsys, "describe", "default", "--batch-size", "16")
    assert status == 0, error
    # 16 images of 7 x 7 patches; five rows of seven predict two rows ahead.
    assert "N = 784 (ln N = 6.66 nats) for 560 predictions each of down_2, up_2" in printed
    assert "memory, training step" in printed and "FLOPs, training step" in printed
    told = [run(capsys, "describe", what)[1] for what in (out, out / "artifact")]
    assert told[0] == told[1] and "patches" in told[0]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["pretrain", "--data", "mnist5k", "--out", "OUT"], 1, "mnist_5k"),
        (["pretrain", "--data", "mnist_5k"], 2, "--out"),
        (
            [
                "pretrain",
                "--data",
                "FOLDER",
                "--out",
                "OUT",
                "--batch-size",
                "8",
                "--patch-size",
                "40",
            ],
            1,
            "smaller than",
        ),
        (["pretrain", "--data", "FOLDER", "--out", "OUT", "--offsets", "2,x"], 2, "'2,x'"),
        (
            ["pretrain", "--data", "FOLDER", "--out", "OUT", "--batch-size", "8", "--offsets", "1"],
            1,
            "offsets >= 2",
        ),
        (["evaluate", "nowhere", "--data", "mnist_5k"], 2, "nowhere"),
        (["evaluate", "EMPTY", "--data", "FOLDER"], 1, "holds no artifact"),
        (["export", "EMPTY", "OUT"], 1, "no readable checkpoint"),
        (["describe", "cpc_v9"], 1, "cpc_v9"),
        (["describe", "EMPTY", "--channels", "1"], 2, "go with a recipe"),
        (["train"], 2, "train"),
    ],
)
def test_bad_input_ends_with_a_message_and_a_status(
    arguments, status, message, folder, tmp_path, capsys
):
    (tmp_path / "empty").mkdir()
    names = {"OUT": tmp_path / "out", "FOLDER": folder, "EMPTY": tmp_path / "empty"}
    received, _, error = run(capsys, *[names.get(a, a) for a in arguments])
    assert received == status
    assert message in error
    assert "Traceback" not in error


def test_evaluating_without_labels_says_where_labels_come_from(pretrained, tmp_path, capsys):
    for i in range(4):
        PIL.Image.fromarray(np.full((20, 20), i, "uint8")).save(tmp_path / f"{i}.png")
    status, _, error = run(capsys, "evaluate", pretrained[0], "--data", tmp_path)
    assert status == 1
    assert "without labels" in error
    assert "subfolder" in error


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_every_option_with_its_default(command, capsys):
    status, printed, _ = run(capsys, *([command] if command else []), "--help")
    assert status == 0
    # Before it stands what started Python.
    assert f"{command} [OPTIONS]" in printed.splitlines()[0]
    if command in ("demo", "pretrain", "evaluate"):
        assert "[default: " in printed


@pytest.mark.parametrize(
    ("number", "status", "told"),
    [
        (signal.SIGINT, 130, "Stopped."),
        (signal.SIGTERM, 0, "SIGTERM."),
    ],
)
@pytest.mark.slow
def test_a_signal_saves_and_the_same_command_resumes(folder, tmp_path, number, status, told):
    command = [sys.executable, "-m", "cpc_keras.cli.main", "pretrain", "--data", str(folder)]
    command += ["--out", str(tmp_path / "a run"), *PRETRAIN, "--patch-encoder", "mlp"]
    command[command.index("--epochs") + 1] = "100000"
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has SIGINT ignored, and children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "a run" / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, number)
    output, error = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in error
    assert f"{told} To go on where it stopped: cpc-keras pretrain --data" in output + error
    assert f"--out '{tmp_path / 'a run'}'" in output + error
    found = newest_checkpoint(tmp_path / "a run" / "checkpoints")
    assert str(found.path) in output and found.epoch >= 1


def test_help_does_not_wait_for_keras():
    command = (
        "import sys; sys.argv = ['/somewhere/bin/cpc-keras', '--help']; "
        "from cpc_keras.cli.main import cli\n"
        "cli(standalone_mode=False)\n"
        "heavy = {'keras', 'tensorflow', 'PIL', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "pretrain" in done.stdout
    # The names of the package are there all the same.
    for name in cpc_keras.__all__:
        assert getattr(cpc_keras, name), name


def test_runs_may_be_named_as_shipped_presets(monkeypatch, tmp_path, capsys):
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "preset.json").write_text("{}")
    shipped = {"shipped": tmp_path / "shipped"}
    module = importlib.import_module("cpc_keras.presets.list_presets")  # also a function's name
    monkeypatch.setattr(module, "preset_directories", lambda: shipped)
    seen = []
    monkeypatch.setattr(
        "cpc_keras.cli.evaluate.compare", lambda splits, runs, out, **_: seen.append((runs, out))
    )
    monkeypatch.setattr("cpc_keras.cli.chosen_data.ChosenData.load", lambda self: None)
    out = ("--out", str(tmp_path / "out"))
    cli.main(["evaluate", "shipped", "--data", "photos", *out], standalone_mode=False)
    assert seen == [((tmp_path / "shipped",), tmp_path / "out")]
    status, _, error = run(capsys, "evaluate", "shipped", "--data", "photos")
    assert status == 2 and "is an artifact, and results would be written into it" in error
    status, _, error = run(capsys, "evaluate", "shiped", "--data", "photos")
    assert status == 2 and "shiped" in error
