"""What a run directory holds for its report."""

import json
import pathlib

import yaml

from cpc_keras.evaluation import RunEvidence, load_pictures
from cpc_keras.training import read_metrics


def read_evidence(directory: pathlib.Path, *, name: str | None = None) -> RunEvidence:
    """Read results, metrics, pictures and facts of a run; what is not there stays empty.

    Args:
        directory: of `cpc-keras pretrain`, `evaluate` or `demo`.
        name: how the report calls it; by default the directory's own name.

    Raises:
        FileNotFoundError: nothing to report is there.
        ValueError: a file that is damaged.
    """
    directory = pathlib.Path(directory)
    results = _json(directory / "results.json", {})
    # Where the pre-training seeds lie: beside, in folders, or here. Presets have no metrics.
    seeds = [directory / run for run in results.get("runs", ())]
    seeds = [seed.parent if seed.name == "artifact" else seed for seed in seeds]
    if not any(seed.exists() for seed in seeds):
        seeds = [path.parent for path in sorted(directory.glob("*/metrics.csv"))]
    if not seeds or (directory / "metrics.csv").exists():
        seeds = [directory, *(seed for seed in seeds if seed.resolve() != directory.resolve())]
    histories = [rows for seed in seeds if (rows := read_metrics(seed / "metrics.csv"))]
    pictures = load_pictures(directory)
    if not (results or histories or pictures):
        raise FileNotFoundError(
            f"{directory} holds nothing to report. Expected a run of cpc-keras pretrain "
            "(metrics.csv) or what cpc-keras evaluate wrote (results.json)."
        )
    configs = [seed / "config.yaml" for seed in seeds if (seed / "config.yaml").exists()]
    config = configs[0].read_text(encoding="utf-8") if configs else ""
    preset = _preset(seeds)
    return RunEvidence(
        name=name or directory.resolve().name,
        results=results,
        histories=histories,
        iteration_curves=results.get("iteration_curves", []),
        pictures=pictures,
        facts=_pretraining_facts(preset),
        config=config,
        method=results.get("method") or preset.get("method") or _method_of(config),
    )


def _preset(seeds):
    presets = [s / place / "preset.json" for s in seeds for place in ("artifact", ".")]
    return next((_json(path, {}) for path in presets if path.exists()), {})


def _method_of(config):
    """The method of a run that has no artifact yet."""
    return (yaml.safe_load(config) or {}).get("method", "cpc")


def _pretraining_facts(told):
    facts = {
        "pre-training command": told.get("command"),
        "pre-training data": told.get("data"),
        "pre-training versions": told.get("versions"),
    }
    return {name: _text(value) for name, value in facts.items() if value}


def _text(value):
    if isinstance(value, dict):
        return ", ".join(f"{name} {version}" for name, version in value.items())
    return str(value)


def _json(path, default):
    if not path.exists():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Expected JSON, as cpc-keras writes it."
        ) from error
