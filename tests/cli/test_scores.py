"""The scores on a model card, and what `cpc-keras presets` tells of them."""

import json

import click
import pytest
from click.testing import CliRunner

from cpc_keras.cli.export import _require_own_scores, export, scores_of
from cpc_keras.cli.presets import presets
from cpc_keras.models import PretextModel


def _results(command, cells, protocols=(), weights=("a", "b")):
    summary = [
        {
            "row": row,
            "fraction": fraction,
            "num_labels": labels,
            "accuracy": accuracy,
            "draw_deviation": None,
            "seed_deviation": 0.01234,
        }
        for row, fraction, labels, accuracy in cells
    ]
    return {
        "facts": {"command": command, "data": f"data of {command}"},
        "protocol": f"protocol of {command}",
        "num_seeds": 2,
        "weights": list(weights),
        "summary": summary,
        "protocols": list(protocols),
    }


def _probe(seed, top_1):
    return {"protocol": "linear_probe", "num_labels": 5000, "seed": seed, "top_1": top_1}


FEW = _results("few", [("cpc_frozen", 0.01, 10, 0.5), ("cpc_fine_tuned", 0.01, 10, 0.45678)])
ALL = _results(
    "all",
    [("cpc_frozen", 0.01, 50, 0.6), ("raw_pixels", 0.01, 50, 0.9)],
    [_probe(0, 0.7), _probe(1, 0.8)],
)


def test_one_evaluation_is_told_as_it_is():
    told = scores_of(FEW)
    assert told["evaluated by"] == "few" and told["protocol"] == "protocol of few"
    assert told["scores"][1] == {
        "row": "cpc_fine_tuned",
        "share of labels": 0.01,
        "labels": 10,
        "accuracy": 0.4568,
        "deviation over draws": None,
        "deviation over seeds": 0.0123,
        "seeds": 2,
    }


def test_several_evaluations_stand_after_each_other_with_the_means_of_their_protocols():
    told = scores_of(FEW, ALL)
    assert told["evaluated by"] == ["few", "all"]
    assert told["evaluated on"] == ["data of few", "data of all"]
    assert [(s["evaluation"], s["row"], s["labels"]) for s in told["scores"]] == [
        (1, "cpc_frozen", 10),
        (1, "cpc_fine_tuned", 10),
        (2, "cpc_frozen", 50),
        (2, "raw_pixels", 50),
        (2, "linear_probe", 5000),
    ]
    last = told["scores"][-1]
    # Sample deviation of 0.7 and 0.8.
    assert (last["accuracy"], last["deviation over seeds"], last["seeds"]) == (0.75, 0.0707, 2)
    (single,) = scores_of(_results("x", [], [_probe(0, 0.7)]))["scores"]
    assert single["deviation over seeds"] is None and single["seeds"] == 1


def test_scores_of_other_weights_are_refused(tmp_path):
    (tmp_path / "artifact").mkdir()
    preset = {"sha256": {"model.weights.h5": "b"}}
    (tmp_path / "artifact" / "preset.json").write_text(json.dumps(preset))
    _require_own_scores(tmp_path, {"few.json": FEW})
    with pytest.raises(
        click.ClickException, match=r"other\.json is an evaluation of other weights"
    ):
        other = _results("other", [], weights=("c",))
        _require_own_scores(tmp_path, {"few.json": FEW, "other.json": other})
    # Of a checkpoint without its run, and of results that name no weights, nothing is known.
    _require_own_scores(tmp_path / "model.keras", {"other.json": other})
    del other["weights"]
    _require_own_scores(tmp_path, {"other.json": other})


def test_presets_tells_the_best_for_each_number_of_labels(monkeypatch):
    facts = {
        "method": "cpc",
        "data": "photos",
        "model": {"image_shape": [8, 8, 1], "feature_dim": 4},
        "scores": scores_of(ALL, FEW)["scores"],
    }
    monkeypatch.setattr("cpc_keras.presets.list_presets", lambda: {"mine": facts})
    printed = CliRunner().invoke(presets).output
    assert printed.splitlines()[2:] == [
        "  1% of the labels (10): 50.0% (cpc_frozen, 2 seeds, evaluation 2 of its card)",
        "  1% of the labels (50): 60.0% (cpc_frozen, 2 seeds, evaluation 1 of its card)",
        "  100% of the labels (5000): 75.0% (linear_probe, 2 seeds, evaluation 1 of its card)",
    ]
    facts["scores"] = scores_of(FEW)["scores"]
    printed = CliRunner().invoke(presets).output
    assert printed.splitlines()[2:] == ["  1% of the labels (10): 50.0% (cpc_frozen, 2 seeds)"]
    # Of the same number of labels elsewhere: neither hides the other.
    facts["scores"] = scores_of(FEW, FEW)["scores"]
    assert len(CliRunner().invoke(presets).output.splitlines()) == 4


def test_a_file_of_scores_is_given_once(tmp_path, monkeypatch):
    (tmp_path / "few.json").write_text(json.dumps(FEW))
    monkeypatch.setattr("cpc_keras.training.load_newest", lambda run: object.__new__(PretextModel))
    twice = ["--results", str(tmp_path / "few.json")] * 2
    result = CliRunner().invoke(export, [str(tmp_path), str(tmp_path / "out"), *twice])
    assert result.exit_code == 2 and "Give each once" in result.output
