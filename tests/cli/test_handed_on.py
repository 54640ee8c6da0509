"""What commands are told reaches the functions that do it."""

import importlib
import types

import numpy as np
import pytest

from cpc_keras import CPCModel
from cpc_keras.cli.evaluate import _num_steps, _pretraining, compare
from cpc_keras.cli.main import cli
from cpc_keras.cli.measure_runs import RunMeasurement, _require_own_starts
from cpc_keras.cli.pretrain import STARTED, STEP_BACKS
from cpc_keras.cli.run_protocols import run_protocols
from cpc_keras.data import ImageData, Splits
from cpc_keras.training import CheckpointSchedule


class Enough(Exception):
    pass


@pytest.fixture
def told(monkeypatch):
    """What functions were called with, by their names; a call of one ends the command."""
    seen = {}

    def watch(name):
        def look(*args, **options):
            seen[name.rpartition(".")[2]] = options
            raise Enough

        monkeypatch.setattr(f"cpc_keras.cli.{name}", look)
        return seen

    return watch


def run(*arguments):
    with pytest.raises(Enough):
        cli.main([str(a) for a in arguments], standalone_mode=False)


def images(count=12, **options):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 1), "uint8")
    return ImageData(pixels, labels=np.arange(count) % 3, source="made up", **options)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("pretrain", ("--out", "OUT")),
        ("evaluate", ("RUN",)),
        ("finetune", ("RUN", "--out", "OUT")),
        ("search", ("--out", "OUT", "--trials", 1)),
    ],
)
def test_commands_split_the_images_as_they_are_told(command, options, tmp_path, monkeypatch):
    monkeypatch.setattr("cpc_keras.cli.finetune.load_encoder", lambda run: None)
    (tmp_path / "run").mkdir()
    names = {"RUN": tmp_path / "run", "OUT": tmp_path / "out"}
    seen = {}

    def load(spec, **options):
        seen.update(options)
        return Splits(images(), None)

    def split_positions(data, fraction):
        seen["fraction"] = fraction
        raise Enough

    monkeypatch.setattr("cpc_keras.data.load_data", load)
    module = importlib.import_module("cpc_keras.data.split_off")  # not the function of its name
    monkeypatch.setattr(module, "split_positions", split_positions)
    split = ("--test-fraction", 0.3, "--groups", "level:1")
    run(command, *[names.get(o, o) for o in options], "--data", "photos", *split)
    assert (seen["fraction"], seen["groups"]) == (0.3, "level:1")


def test_pre_training_saves_and_steps_back_as_it_is_told(told, tmp_path):
    np.savez(tmp_path / "scans.npz", images=images().images, labels=images().labels)
    command = ("pretrain", "--data", tmp_path / "scans.npz", "--out", tmp_path / "out")
    seen = told("pretrain.pretrain_and_export")
    run(*command)
    assert seen["pretrain_and_export"]["step_backs"] == 0
    saving = ("--checkpoint-seconds", 7, "--checkpoint-steps", 5, "--keep", 3)
    run(*command, "--on-nan", "step-back", *saving)
    options = seen["pretrain_and_export"]
    assert options["step_backs"] == STEP_BACKS > 0
    assert options["checkpoints"] == CheckpointSchedule(seconds=7.0, steps=5, keep=3)


@pytest.mark.parametrize(("option", "passed"), [(None, None), ("balanced", "balanced")])
def test_fine_tuning_weights_classes_as_it_is_told(option, passed, tmp_path, monkeypatch):
    np.savez(tmp_path / "scans.npz", images=images().images, labels=images().labels)
    encoder = types.SimpleNamespace(input_shape=(None, 8, 8, 1))
    monkeypatch.setattr("cpc_keras.cli.finetune.load_encoder", lambda run: encoder)
    seen = {}

    def look(*args, **options):
        seen.update(options)
        raise Enough

    monkeypatch.setattr("cpc_keras.evaluation.fine_tune", look)
    (tmp_path / "run").mkdir()
    arguments = () if option is None else ("--class-weight", option)
    data = ("--data", tmp_path / "scans.npz", "--test-fraction", 0.5)
    run("finetune", tmp_path / "run", *data, "--out", tmp_path / "out", *arguments)
    assert seen["class_weight"] == passed
    assert seen["facts"]["test_fraction"] == 0.5


def test_the_rows_compare_the_trained_encoder_with_an_untrained_one(told, tmp_path, monkeypatch):
    def rows(encoder, random_encoder, splits, *, num_steps, **options):
        return encoder, random_encoder, num_steps

    monkeypatch.setattr("cpc_keras.cli.evaluate.comparison_rows", rows)
    seen = told("evaluate.RunMeasurement")
    with pytest.raises(Enough):
        compare(Splits(images(), images()), [tmp_path], tmp_path, fractions=(1.0,), steps=(15, 25))
    model = CPCModel(
        (8, 8, 1), patch_encoder="mlp", patch_size=4, patch_stride=2, offsets=(2,), seed=0
    )
    for variable in model.encoder.variables:
        variable.assign(variable + 1.0)
    encoder, random_encoder, num_steps = seen["RunMeasurement"]["make_rows"](model, 0)
    assert encoder is model.encoder
    assert random_encoder.input_shape == encoder.input_shape
    assert (encoder.get_weights()[0] != random_encoder.get_weights()[0]).all()
    assert num_steps(64) == 20  # ten passes in batches of 32


def test_networks_train_for_ten_passes_over_the_labels_within_bounds():
    assert [_num_steps(count, (150, 250), 32) for count in (10, 640, 5000)] == [150, 200, 250]


def test_pre_training_on_all_images_has_seen_the_test_images(capsys):
    splits = Splits(images(30), images(10))
    assert "were among them" in _pretraining(splits, 40, ["made up, 40 images, no labels"])
    assert "--groups of this evaluation" in capsys.readouterr().err
    before = f"elsewhere, 9 images, no labels{STARTED}made up, 40 images, no labels"
    assert "were among them" in _pretraining(splits, 40, [before])
    assert capsys.readouterr().err
    # However the place is written.
    assert "were among them" in _pretraining(splits, 40, ["folder:./made up, 40 images, no labels"])
    assert capsys.readouterr().err
    assert "among" not in _pretraining(splits, 40, ["made up, 30 images, no labels"])
    assert not capsys.readouterr().err


def test_an_evaluation_divides_no_group(told, tmp_path, monkeypatch):
    train = images(groups=np.arange(12) // 4)
    splits = Splits(train, images())
    seen = told("measure_runs.label_efficiency")
    measurement = types.SimpleNamespace(
        **{"splits": splits, "weights": ["0" * 64], "_counted": set(), "_locks": tmp_path},
        **{"_num_draws": 1, "_subset": None, "_measured": lambda seed: [], "_log": None},
        **{"_keep": lambda *log: None, "_bar": types.SimpleNamespace(update=None)},
    )
    row = types.SimpleNamespace(name="row")
    with pytest.raises(Enough):
        RunMeasurement._measure_part(measurement, 0, row, 1.0, wait=True)
    assert seen["label_efficiency"]["train_groups"] is train.groups
    monkeypatch.setattr("cpc_keras.cli.run_protocols.extract_features", lambda encoder, x: x)
    told("run_protocols.linear_probe")
    with pytest.raises(Enough):
        run_protocols(None, splits, names=("linear_probe",), run=tmp_path, done=[], on_result=print)
    assert seen["linear_probe"]["groups"] is train.groups


def test_runs_of_one_start_are_no_seeds_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def presets(**starts):
        return {
            tmp_path / name: {"facts": {"init": start} if start else {}}
            for name, start in starts.items()
        }

    _require_own_starts(presets(a=None, b=None, c="elsewhere"))
    for of_one in ({"a": None, "b": "a"}, {"b": "x/artifact", "c": str(tmp_path / "x")}):
        with pytest.raises(ValueError, match=r"or began with them \(--init\)"):
            _require_own_starts(presets(**of_one))
