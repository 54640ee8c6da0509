"""The protocols of `cpc-keras evaluate` that need all labels once."""

import json
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

    The iteration curve goes into `iteration_curve.json` of the run, where it has kept encoders.

    Args:
        encoder: images to features.
        splits: labelled training and test images.
        names: of `PROTOCOLS`.
        run: run directory or artifact.
        done: results of an earlier call.
        on_result: called with each new result, for example to save it.

    Returns:
        Results of "linear_probe" and "nearest_neighbors".
    """
    train, test = splits
    results = [r for r in done if r["protocol"] in names]
    wanted = {"linear_probe": linear_probe, "nearest_neighbors": nearest_neighbors}
    missing = [n for n in wanted if n in names and n not in {r["protocol"] for r in results}]
    if missing:
        parts = [(extract_features(encoder, p.images), p.require_labels()) for p in splits]
        for name in missing:
            options = {"groups": train.groups} if name == "linear_probe" else {}
            results.append(wanted[name](None, *parts, test_groups=test.groups, **options))
            on_result(results[-1])
    if "iteration_curve" in names and saved_encoders(run):
        _write_curve(run, (train.images, train.labels), (test.images, test.labels))
    return results


def _write_curve(run, train, test):
    from tqdm import tqdm

    with tqdm(desc="iteration curve", total=len(saved_encoders(run)), unit="encoder") as bar:
        curve = iteration_curve(
            run, train, test, num_resamples=0, on_result=lambda result: bar.update()
        )
    partial = run / "iteration_curve.partial.json"
    partial.write_text(json.dumps(curve, indent=1))
    partial.replace(run / "iteration_curve.json")
