"""What `cpc-keras evaluate` measures, in parts that processes share."""

import json
import pathlib
from collections.abc import Callable, Sequence

import keras
import numpy as np
from tqdm import tqdm

from cpc_keras.cli.run_protocols import run_protocols
from cpc_keras.data import Splits
from cpc_keras.evaluation import ResultLog, label_efficiency, num_fits, result_lock, row_title
from cpc_keras.models import PretrainingModel


class RunMeasurement:
    """Label efficiency and protocols of runs, one for each pre-training seed.

    A part is a row at one share of the labels, of one seed. A process takes the parts that no other
    one has taken, and at the end waits for those that others measure.

    Args:
        splits: labelled training and test images.
        runs: run directories or artifacts.
        out: directory of the results.
        settings: JSON-like dict of everything that the label efficiency depends on; `fractions` and
            `num_draws` are read from it, and of `data`, `pixels` the protocols depend, too.
        rows: names of those that `make_rows` gives; results of others are left out.
        make_rows: function from a model and its seed to the rows.
        subset: function from a fraction and a draw to the positions of labels.
        protocols: names, of `run_protocols`.

    Raises:
        ValueError: a run without artifact, an encoder that has seen labels, runs of several
            methods, or the same weights twice.
    """

    def __init__(
        self,
        splits: Splits,
        runs: list[pathlib.Path],
        out: pathlib.Path,
        *,
        settings: dict,
        rows: Sequence[str],
        make_rows: Callable[[PretrainingModel, int], list],
        subset: Callable[[float, int], np.ndarray],
        protocols: tuple[str, ...],
    ):
        self.splits, self.runs, self.rows = splits, runs, tuple(rows)
        self.artifacts = [
            run if (run / "preset.json").exists() else run / "artifact" for run in runs
        ]
        # Each result names the weights it is of: those of other weights are not taken over, and a
        # further seed leaves the others measured.
        presets = [_preset(artifact) for artifact in self.artifacts]
        self.method = _method(dict(zip(runs, presets, strict=True)))
        self.weights = [preset["sha256"]["model.weights.h5"] for preset in presets]
        self.pretrained_on = list(dict.fromkeys(preset.get("data") for preset in presets))
        if len(set(self.weights)) < len(runs):
            first = next(w for w in self.weights if self.weights.count(w) > 1)
            same = [str(r) for r, w in zip(runs, self.weights, strict=True) if w == first]
            raise ValueError(
                f"{', '.join(same)} hold the same weights. Expected runs with own seeds: a "
                "copy would count as another pre-training. Give each once."
            )
        _require_own_starts(dict(zip(runs, presets, strict=True)))
        self.first_model, self.num_trials = None, None
        self._fractions, self._num_draws = settings["fractions"], settings["num_draws"]
        self._make_rows, self._subset, self._protocols = make_rows, subset, protocols
        self._log = ResultLog(out / "measurements.jsonl", settings)
        self._beside = ResultLog(
            out / "protocols.jsonl", {name: settings[name] for name in ("data", "pixels")}
        )
        self._locks = out / "locks"
        self._counted = set()
        self._frozen_row = None
        self._bar = None

    def run(self) -> None:
        """Measure what is missing; resumable."""
        seeds = range(len(self.runs))
        for wait in (False, True):
            seeds = [seed for seed in seeds if not self._measure_seed(seed, wait=wait)]
        self._bar.close()

    @property
    def results(self) -> list[dict]:
        """Of the label efficiency, a seed after the other."""
        return [result for seed in range(len(self.runs)) for result in self._measured(seed)]

    @property
    def protocol_results(self) -> list[dict]:
        """Of the protocols with all labels."""
        return [result for result in self._of_protocols() if "points" not in result]

    @property
    def iteration_curves(self) -> list[list[dict]]:
        """Points of each run that has kept encoders."""
        return [result["points"] for result in self._of_protocols() if "points" in result]

    def predict(self) -> tuple[np.ndarray, str]:
        """Classes that the frozen row gives the test images with the most labels, and what it is.

        As it was scored, of the first pre-training seed.
        """
        found = [r for r in self._measured(0) if (r["row"], r["draw"]) == ("cpc_frozen", 0)]
        most = max(found, key=lambda r: r["fraction"])
        index = self._subset(most["fraction"], 0)
        labels = self.splits.train.labels[index]
        probabilities = self._frozen_row.fit_predict(index, labels, setting=most["setting"])
        title = row_title("cpc_frozen", self.method)
        told = f"{title} on {most['num_labels']} labels, first pre-training seed"
        return probabilities.argmax(axis=1), told

    def _measured(self, seed):
        return [r for r in self._of_seed(self._log, seed) if r["row"] in self.rows]

    def _of_protocols(self):
        return [
            result
            for seed in range(len(self.runs))
            for result in self._of_seed(self._beside, seed)
            if result["protocol"] in self._protocols
        ]

    def _of_seed(self, log, seed):
        return [r for r in log.results if (r["seed"], r["weights"]) == (seed, self.weights[seed])]

    def _keep(self, log, seed):
        return lambda result: log.add({**result, "seed": seed, "weights": self.weights[seed]})

    def _measure_seed(self, seed, *, wait):
        """Return whether all of a seed is measured now."""
        model = PretrainingModel.from_preset(self.artifacts[seed])
        _check_shape(model, self.splits.train, self.artifacts[seed])
        # Of the random weights that are compared with: the same command gives the same figures.
        keras.utils.set_random_seed(seed)
        rows = self._make_rows(model, seed)
        if self._bar is None:
            self.num_trials = len(rows[0].settings)
            total = num_fits(rows, fractions=self._fractions, num_draws=self._num_draws)
            self._bar = tqdm(desc="evaluation", total=total * len(self.runs), unit="fit")
        if seed == 0:
            self.first_model = model
            (self._frozen_row,) = (row for row in rows if row.name == "cpc_frozen")
        parts = [(row, fraction) for row in rows for fraction in self._fractions]
        complete = [self._measure_part(seed, *part, wait=wait) for part in parts]
        return all([*complete, self._run_protocols(seed, model, wait=wait)])

    def _measure_part(self, seed, row, fraction, *, wait):
        part = f"{self.weights[seed][:12]}-{seed}-{row.name}-{fraction:g}"
        if part in self._counted:
            return True
        with result_lock(self._locks / part, wait=wait) as mine:
            if not mine:
                return False
            label_efficiency(
                [row],
                train_labels=self.splits.train.labels,
                test_labels=self.splits.test.labels,
                fractions=[fraction],
                num_draws=self._num_draws,
                train_groups=self.splits.train.groups,
                test_groups=self.splits.test.groups,
                subset=self._subset,
                done=self._measured(seed),
                on_result=self._keep(self._log, seed),
                on_fit=self._bar.update,
            )
        self._counted.add(part)
        return True

    def _run_protocols(self, seed, model, *, wait):
        with result_lock(self._locks / f"{self.weights[seed][:12]}-protocols", wait=wait) as mine:
            if mine:
                run_protocols(
                    model.encoder,
                    self.splits,
                    names=self._protocols,
                    run=self.runs[seed],
                    done=self._of_seed(self._beside, seed),
                    on_result=self._keep(self._beside, seed),
                )
            return mine


def _preset(artifact):
    preset = artifact / "preset.json"
    if not preset.exists():
        raise ValueError(
            f"{artifact.parent} holds no artifact. Expected a finished run of cpc-keras pretrain, "
            "or a directory that `model.export` wrote."
        )
    return json.loads(preset.read_text())


def _method(presets):
    """The method of all runs, which must have seen no labels."""
    for run, preset in presets.items():
        # The argument of models that learn from labels; see `needs_labels`.
        model = preset.get("model", {})
        if "num_classes" in model:
            raise ValueError(
                f"The encoder of {run} was trained with labels (by a {model['class']}). "
                "Expected one that saw none: with few labels it would be measured as if it had not "
                "seen the others. What its own classifier is worth, pretrain has written into "
                "classifier/metrics.json of the run; cpc-keras tables compares methods with and "
                "without labels, each with the same ones."
            )
    methods = {preset.get("method", "cpc"): str(run) for run, preset in presets.items()}
    if len(methods) > 1:
        told = ", ".join(f"{run} is of {method}" for method, run in methods.items())
        raise ValueError(
            f"Expected runs of one method, one for each pre-training seed. Received: {told}. "
            "Evaluate each method on its own, and put them beside each other: cpc-keras report "
            "RUN RUN --out FILE."
        )
    return next(iter(methods))


def _require_own_starts(presets):
    """Refuse runs that began with the same weights, which are one pre-training gone on with."""
    starts = {_run_of(run): [str(run)] for run in presets}
    for run, preset in presets.items():
        if start := preset.get("facts", {}).get("init"):
            starts.setdefault(_run_of(start), []).append(str(run))
    for start, runs in starts.items():
        if len(runs) > 1:
            raise ValueError(
                f"{', '.join(runs)} all have the weights of {start} or began with them (--init). "
                "Expected runs with own seeds: what one start has in common would not be seen in "
                "their spread. Evaluate each on its own; cpc-keras report RUN RUN --out FILE puts "
                "them beside each other."
            )


def _run_of(path):
    """One name for a run and its artifact, however written."""
    path = pathlib.Path(path).resolve()
    return path.parent if path.name == "artifact" else path


def _check_shape(model, train, artifact):
    if model.image_shape != train.image_shape:
        raise ValueError(
            f"The encoder in {artifact} takes images of shape {model.image_shape}; {train.source} "
            f"has {train.image_shape}. Pass --image-size and --channels that fit."
        )
