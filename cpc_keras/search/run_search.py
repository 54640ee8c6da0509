"""A search from the first trial to the file with the best settings."""

import dataclasses
import json
import os
import pathlib
from typing import Any

import keras_tuner

from cpc_keras.data import ImageData
from cpc_keras.search.cpc_hyper_model import CPCHyperModel
from cpc_keras.search.probe_score import probe_split
from cpc_keras.search.probe_tuner import ProbeTuner
from cpc_keras.search.trials_table import trials_table
from cpc_keras.search.write_results import write_results

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
}


def run_search(
    hypermodel: CPCHyperModel,
    data: ImageData,
    *,
    directory: str | os.PathLike,
    num_trials: int,
    oracle: str = "random",
    seed: int = 0,
    facts: dict[str, Any] | None = None,
    worker_timeout: float = 120.0,
) -> list[dict[str, Any]]:
    """Search settings of CPC that maximise a probe; resumable, alone or with workers.

    The same call goes on where a stopped one ended: finished trials stay, one that was cut short
    goes on at its last epoch, and a larger `num_trials` adds to them. The directory gets
    `best.yaml`, `trials.csv`, `trials.json`, `trials.png` and `trials/ID/`, a run directory each.

    In parallel, with keras-tuner's own service: start the same call once with
    `KERASTUNER_TUNER_ID=chief` and on every worker with another id of its own, all with
    `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` of the chief and a directory they share. The
    chief trains nothing; it ends when its workers have, and gives up one that dies.

    Args:
        hypermodel: the space, and how a trial is trained and scored.
        data: labelled training images. No test images: they would be used up. Where they have
            groups, the probe's held-out images are of groups of their own.
        directory: made, or resumed.
        num_trials: how many settings to try, at least 1.
        oracle: "random", or "bayesian" (a Gaussian process proposes).
        seed: of what the oracle draws.
        facts: what makes the search what it is, beside the hypermodel: "data", "image_size",
            "channels"; written into `best.yaml`. A directory with others is refused.
        worker_timeout: seconds after which the chief gives up a silent worker.

    Returns:
        What `trials_table` returns; of a worker an empty list, the chief has it.

    Raises:
        FileExistsError: the directory belongs to another search, or is none.
        RuntimeError: every trial failed; the message has the first error.
        ValueError: images without labels, or labels that a probe cannot use; an unknown oracle.

    Example:
        >>> data = ImageData(np.zeros((8, 16, 16, 1), "uint8"), labels=np.repeat([0, 1], 4))
        >>> hypermodel = CPCHyperModel((16, 16, 1), base=Recipe(num_epochs=1), probe="knn")
        >>> rows = run_search(hypermodel, data, directory="found", num_trials=2)  # doctest: +SKIP
    """
    labels = data.require_labels()
    # Before anything is trained: labels that no trial could be scored by.
    probe_split(labels, seed=hypermodel.base.seed, groups=data.groups)
    if oracle not in ORACLES:
        raise ValueError(f"run_search: oracle must be one of {[*ORACLES]}. Received: {oracle!r}.")
    if num_trials < 1:
        raise ValueError(f"run_search: num_trials must be 1 or more. Received: {num_trials}.")
    directory = pathlib.Path(directory)
    facts = dict(facts or {})
    settings = {
        **facts,
        "oracle": oracle,
        "seed": seed,
        "probe": hypermodel.probe,
        "base": dataclasses.asdict(hypermodel.base),
        "space": {
            "image_shape": hypermodel.image_shape,
            "widths": hypermodel.widths,
            "depths": hypermodel.depths,
            "directions": hypermodel.directions,
            "image_augmentations": hypermodel.image_augmentations,
            "geometries": hypermodel.geometries,
        },
    }
    _claim(directory, settings)
    tuner = ProbeTuner(
        ORACLES[oracle](
            keras_tuner.Objective("probe_accuracy", "max"),
            max_trials=num_trials,
            seed=seed,
            # Some settings may diverge; the search tells of each and goes on.
            max_consecutive_failed_trials=num_trials + 1,
        ),
        hypermodel,
        directory=directory,
        worker_timeout=worker_timeout,
    )
    if tuner.role == "worker":
        tuner.search(data.images, labels, groups=data.groups)
        return []
    try:
        tuner.search(data.images, labels, groups=data.groups)
    finally:
        # Also of a search that was stopped: what there is.
        rows = trials_table(tuner.oracle)
        scored = any(row["status"] == "COMPLETED" for row in rows)
        best = hypermodel.recipe(tuner.get_best_hyperparameters()[0]) if scored else None
        write_results(directory, rows, best=best, facts=facts)
    if not scored:
        raise RuntimeError(
            f"run_search: all {len(rows)} trials failed, the first with: {rows[0]['error']} "
            f"Expected at least one that trains. The whole messages: {directory}/keras_tuner/"
            "trial_*/trial.json."
            if rows
            else "run_search: no trial was run: no worker asked for one. Start workers with "
            "KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT."
        )
    return rows


def _claim(directory, settings):
    path = directory / "search.json"
    text = json.dumps(settings, indent=1) + "\n"
    if not path.exists():
        if directory.exists() and any(p for p in directory.iterdir() if p.name[0] != "."):
            raise FileExistsError(
                f"run_search: {directory} is not empty and is no search (no search.json). Choose "
                "another directory."
            )
        directory.mkdir(parents=True, exist_ok=True)
        partial = directory / f".partial-search-{os.getpid()}.json"
        partial.write_text(text)
        # Chief and workers begin at once: whoever is second replaces it by the same.
        partial.replace(path)
    before, now = json.loads(path.read_text()), json.loads(text)
    if before != now:
        different = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        raise FileExistsError(
            f"run_search: {directory} holds a search with other settings ({', '.join(different)} "
            f"differ; see {path}). Choose another directory, or repeat the settings to resume."
        )
