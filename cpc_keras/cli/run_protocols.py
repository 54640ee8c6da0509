"""The protocols of `cpc-keras evaluate` that need all labels once."""

import pathlib

import keras

from cpc_keras.data import Splits
from cpc_keras.evaluation import (
    extract_features,
    iteration_curve,
    linear_probe,
    nearest_neighbors,
    saved_encoders,
)

PROTOCOLS = ("linear_probe", "nearest_neighbors", "iteration_curve")


def run_protocols(
    encoder: keras.Model,
    splits: Splits,
    *,
    names: tuple[str, ...] = PROTOCOLS,
    run: pathlib.Path,
    done: list[dict] = (),
    on_result=lambda result: None,
) -> list[dict]:
    """Measure an encoder with all labels, by each protocol that is not measured yet.

    Args:
        encoder: images to features.
        splits: labelled training and test images.
        names: of `PROTOCOLS`.
        run: run directory or artifact.
        done: results of an earlier call.
        on_result: called with each new result, for example to save it.

    Returns:
        What each protocol gave; of "iteration_curve", where the run has kept encoders, `points`,
        each with `epoch`, `step`, `accuracy` and the `protocol` that it was measured by.
    """
    train, test = splits
    results = [r for r in done if r["protocol"] in names]

    def add(result):
        results.append(result)
        on_result(result)

    missing = [n for n in names if n not in {r["protocol"] for r in results}]
    wanted = {"linear_probe": linear_probe, "nearest_neighbors": nearest_neighbors}
    features = [name for name in wanted if name in missing]
    if features:
        parts = [(extract_features(encoder, p.images), p.require_labels()) for p in splits]
        for name in features:
            options = {"groups": train.groups} if name == "linear_probe" else {}
            add(wanted[name](None, *parts, test_groups=test.groups, **options))
    if "iteration_curve" in missing and saved_encoders(run):
        add(_curve(run, train, test))
    return results


def _curve(run, train, test):
    from tqdm import tqdm

    told = ("epoch", "step", "accuracy", "protocol")
    with tqdm(desc="iteration curve", total=len(saved_encoders(run)), unit="encoder") as bar:
        curve = iteration_curve(
            run,
            *((part.images, part.require_labels()) for part in (train, test)),
            num_resamples=0,
            on_result=lambda result: bar.update(),
        )
    points = [{name: point[name] for name in told} for point in curve]
    return {"protocol": "iteration_curve", "num_labels": len(train), "points": points}
