"""`cpc-keras tables`."""

import dataclasses
import hashlib
import json
import pathlib
import time

import click
import keras
import numpy as np

from cpc_keras.cli.chosen_data import drawn
from cpc_keras.cli.options import (
    Numbers,
    data_options,
    groups_option,
    images_option,
    test_fraction_option,
)
from cpc_keras.data import Splits, hold_out, image_batches, label_subset, mixed_batches
from cpc_keras.encoders import PATCH_ENCODERS
from cpc_keras.evaluation import (
    ProbeRow,
    draw_method_tables,
    extract_features,
    format_method_tables,
    label_scores,
    method_tables,
    result_lock,
    top_k_accuracy,
)
from cpc_keras.methods import METHODS, needs_labels
from cpc_keras.methods.table_rows import Scale, build_row, table_rows
from cpc_keras.training import Recipe, deterministic_ops, read_metrics
from cpc_keras.training import pretrain as run_pretraining

# Untrained encoders, of images and of patches: name of the row to the row whose encoder it is.
RANDOM = {"random": "supervised", "random_patches": "cpc"}
# Shares of the labels that the tables are of.
LOW_DATA = (0.01, 0.1)
PROBES = tuple({"max_copies": 0, "regularization": r} for r in (1.0, 30.0, 300.0))
# Of a run whose budget is not in epochs.
EPOCHS = 10
# Steps that are timed for a budget in minutes, and those before, in which graphs are built.
TIMED_STEPS, WARM_STEPS = 20, 5

PROTOCOL = """\
# Methods on {data}

{num_images} training images of {shape}, encoder "{encoder}" (CPC's sees patches, the others'
images), {budget}, batches of {batch_size}, {optimizer}. Accuracy on {num_test} test images, by
which nothing was chosen: mean ± deviation over seeds (number of seeds).

- *Linear separability*: features learned without labels, then a linear probe on the labels of the
  training images. "Supervised" is the same network trained on them.
- *Few labels*: class-balanced subsets, another with each seed, the same for all methods. Methods
  without labels: a linear probe on their frozen features. Methods with labels: their own
  classifier, batches of one labelled to {ratio} unlabelled images; "supervised": all labelled.
- The probe's regularization, of {num_probes}, is chosen on a quarter of the labels; so is the
  learning rate of methods with labels, of {rates}, by runs of half the length with seed 0.
- Published: ImageNet, in percent, as printed; another data set, other networks and far longer
  training."""


@click.command(context_settings={"show_default": True})
@data_options
@click.option("--out", required=True, type=click.Path(path_type=pathlib.Path), help="Directory.")
@images_option
@test_fraction_option
@groups_option
@click.option("--test-images", type=click.IntRange(1), help="Test images, drawn once.  [all]")
@click.option("--only", help="Rows, separated by commas.  [default: all that are built]")
@click.option("--seeds", type=Numbers(int), default="0,1,2", help="One run of each row for each.")
@click.option("--epochs", type=click.IntRange(1), help="Budget of a run: passes over the images,")
@click.option("--steps", type=click.IntRange(1), help="or training steps,")
@click.option("--minutes", type=float, help="or minutes on this machine.  [default: 8]")
@click.option("--encoder", type=click.Choice(list(PATCH_ENCODERS)), default="tiny", help="Of all.")
@click.option("--batch-size", type=click.IntRange(2), default=64, help="Images a step.")
@click.option("--ratio", type=click.IntRange(1), default=1, help="Unlabelled to labelled images.")
@click.option("--learning-rate", type=float, default=1e-3, help="Of methods without labels.")
@click.option(
    "--learning-rates",
    type=Numbers(float),
    default="1e-3,3e-3",
    help="To choose from, of methods with labels.",
)
@click.option("--report", is_flag=True, help="Write the tables of what is there; measure nothing.")
def tables(chosen, out, test_images, report, **options):
    """Run methods with one budget and write the papers' tables beside the published numbers.

    Writes tables.md, tables.json and pictures into OUT. What is there is not measured again, the
    same command goes on where a stopped one ended, and several may share the work, with the same
    OUT and other --only or --seeds or the same.
    """
    deterministic_ops()
    splits = chosen.load().labeled()
    compare_methods(
        Splits(splits.train, drawn(splits.test, test_images)),
        out,
        Plan.of(data=chosen.data, **options),
        report=report,
    )


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is compared, and how.

    Attributes:
        data: what the data is called.
        rows: names of rows.
        seeds: one run of each row for each.
        unit: "epochs", "steps" or "minutes", of the budget of a run; steps and minutes are rounded
            to tens of steps.
        budget: how many.
        encoder: name of the encoder.
        batch_size: images a step.
        ratio: unlabelled images for each labelled one, of methods with labels.
        learning_rate: of methods without labels.
        learning_rates: to choose from, of methods with labels.
    """

    data: str
    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    unit: str
    budget: float
    encoder: str = "tiny"
    batch_size: int = 64
    ratio: int = 1
    learning_rate: float = 1e-3
    learning_rates: tuple[float, ...] = (1e-3, 3e-3)

    @classmethod
    def of(cls, *, only=None, epochs=None, steps=None, minutes=None, **settings) -> "Plan":
        """Make a plan of the command's options."""
        built = [*RANDOM, *table_rows()]
        rows = tuple(only.split(",")) if only else tuple(built)
        if unknown := sorted(set(rows) - set(built)):
            raise click.UsageError(
                f"--only takes rows that are built: {', '.join(built)}. Received: "
                f"{', '.join(unknown)}."
            )
        given = {"epochs": epochs, "steps": steps, "minutes": minutes}
        given = {k: v for k, v in given.items() if v is not None} or {"minutes": 8.0}
        if len(given) > 1:
            raise click.UsageError(f"Give one budget. Received: {', '.join(given)}.")
        ((unit, budget),) = given.items()
        return cls(rows=rows, unit=unit, budget=budget, **settings)


def compare_methods(
    splits: Splits, out: pathlib.Path, plan: Plan, *, report: bool = False
) -> dict[str, list[dict]]:
    """Measure what is missing of a plan and write the tables; resumable, and to be shared.

    Args:
        splits: labelled training and test images.
        out: directory of the results.
        plan: what to compare.
        report: write the tables of what is there alone.

    Returns:
        The tables, as of `evaluation.method_tables`.

    Raises:
        ValueError: no test images or no labels, fewer training images than a batch, or rows that
            cannot be built or trained as the plan says; before anything is measured.
    """
    splits.train.require_labels()
    if splits.test is None or not len(splits.test):
        raise ValueError(f"{splits.train.source} has no test images.")
    splits.test.require_labels()
    out.mkdir(parents=True, exist_ok=True)
    comparison = _Comparison(splits, pathlib.Path(out), plan)
    busy = []
    if not report:
        comparison.check_rows()
        units = comparison.units()
        for number, unit in enumerate(units, start=1):
            click.echo(f"[{number}/{len(units)}] {unit}")
            if not comparison.measure(unit):
                busy.append(unit)
    found = comparison.write()
    for unit in busy:
        click.echo(f"Another process measures: {unit}. The same command again takes it over.")
    return found


@dataclasses.dataclass(frozen=True)
class _Unit:
    """What is measured at once: a row with a seed, of methods with labels for a share of them."""

    row: str
    seed: int
    fraction: float | None = None

    def __str__(self):
        share = "" if self.fraction is None else f", {self.fraction:.0%} of the labels"
        return f"{self.row}{share}, seed {self.seed}"


class _Comparison:
    """The data, the plan, and what has been measured so far."""

    def __init__(self, splits, out, plan):
        self.train, self.test = splits
        self.out, self.plan = out, plan
        self.num_classes = splits.num_classes
        self.steps_per_epoch = len(self.train) // plan.batch_size
        if not self.steps_per_epoch:
            raise ValueError(
                f"{len(self.train)} training images do not fill a batch of {plan.batch_size}."
            )
        # Whatever a result depends on: another value is another result.
        self.common = {
            "data": plan.data,
            "pixels": splits.digest(),
            "encoder": plan.encoder,
            "batch_size": plan.batch_size,
            "budget": [plan.unit, plan.budget],
        }

    # What is to be done.

    def units(self):
        """The units of the plan, a seed of all rows before the next seed."""
        units = []
        for seed in self.plan.seeds:
            for row in self.plan.rows:
                if not self._with_labels(row):
                    units.append(_Unit(row, seed))
                    continue
                shares = (1.0, *LOW_DATA) if row == "supervised" else LOW_DATA
                units += [_Unit(row, seed, fraction) for fraction in shares]
        return units

    def check_rows(self):
        """Refuse rows that cannot be built, before others are measured for hours."""
        found, faults = self.found(), {}
        missing = [u.row for u in self.units() if _key(self._settings(u)) not in found]
        for row in dict.fromkeys(missing):
            try:
                build_row(RANDOM.get(row, row), self._scale(), num_classes=self.num_classes)
                self._check_ratio(row)
            except ValueError as error:
                faults[row] = error
        if faults:
            told = "\n".join(f"{row}: {error}" for row, error in faults.items())
            others = ",".join(row for row in self.plan.rows if row not in faults)
            out = f", or leave them out: --only {others}" if others else ""
            raise ValueError(
                f"Of images of {'x'.join(map(str, self.train.image_shape))}, with encoder "
                f'"{self.plan.encoder}" and batches of {self.plan.batch_size}, these rows cannot '
                f"be measured:\n{told}\nChange what they tell of{out}."
            )

    def _check_ratio(self, row):
        size, parts = self.plan.batch_size, 1 + self._ratio(row)
        if size % parts:
            raise ValueError(
                f"a batch of {size} does not divide into one labelled to {parts - 1} unlabelled "
                f"images. Expected a --batch-size that is a multiple of {parts}, such as "
                f"{size // parts * parts or parts}."
            )

    def _with_labels(self, row):
        return row not in RANDOM and needs_labels(METHODS[table_rows()[row]])

    def _ratio(self, row):
        """Unlabelled images of a batch for each labelled one, 0 of rows that have no such two."""
        return self.plan.ratio if self._with_labels(row) and row != "supervised" else 0

    def _settings(self, unit):
        plan = self.plan
        rates = {"learning_rate": plan.learning_rate}
        if self._with_labels(unit.row):
            rates = {"learning_rates": list(plan.learning_rates), "ratio": plan.ratio}
        if unit.row in RANDOM:
            rates = {}
        return {**self.common, **dataclasses.asdict(unit), **rates}

    # What is kept.

    def found(self):
        """All results, by the hash of their settings."""
        path = self.out / "results.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _keep(self, settings, result):
        with result_lock(self.out / "results.lock"):  # another process may be adding to it
            everything = {**self.found(), _key(settings): {"settings": settings, **result}}
            partial = self.out / "results.partial"
            partial.write_text(json.dumps(dict(sorted(everything.items())), indent=1) + "\n")
            partial.replace(self.out / "results.json")

    # How it is measured.

    def measure(self, unit):
        """Measure a unit unless it is there; return whether it is there now."""
        settings = self._settings(unit)
        if _key(settings) in self.found():
            return True
        locks = self.out / "locks"
        locks.mkdir(exist_ok=True)
        with result_lock(locks / _key(settings), wait=False) as mine:
            if not mine:
                return False
            if _key(settings) in self.found():
                return True  # another process has measured it since
            started = time.monotonic()
            by_labels = self._with_labels(unit.row)
            cells, training = self._classifier(unit) if by_labels else self._features(unit)
            took = round(time.monotonic() - started)
            self._keep(settings, {"cells": cells, "training": training, "seconds": took})
        for cell in cells:
            click.echo(f"  {cell['table']}, {cell['num_labels']} labels: {cell['top_1']:.1%}")
        return True

    def _features(self, unit):
        """Without labels: probes on the features, with all and with few labels."""
        training = {}
        if unit.row in RANDOM:
            keras.utils.set_random_seed(unit.seed)
            encoder = build_row(RANDOM[unit.row], self._scale(), num_classes=2).encoder
        else:
            recipe = self._recipe(unit.row, unit.seed, self.plan.learning_rate)
            model, training = self._run(unit.row, recipe)
            encoder = model.encoder
        probe = ProbeRow(
            unit.row,
            lambda images: extract_features(encoder, images),
            train_images=self.train.images,
            test_images=self.test.images,
            num_classes=self.num_classes,
            settings=PROBES,
        )
        cells = []
        for fraction in (1.0, *LOW_DATA):
            scores = label_scores(
                probe,
                index=label_subset(self.train.labels, fraction, seed=unit.seed),
                train_labels=self.train.labels,
                test_labels=self.test.labels,
                train_groups=self.train.groups,
            )
            cells.append(self._cell(unit, fraction, scores))
        return cells, training

    def _classifier(self, unit):
        """With labels: the method's own classifier, at the rate that held-out labels chose."""
        rate = self._rate(unit)
        recipe = self._recipe(unit.row, unit.seed, rate)
        index = label_subset(self.train.labels, unit.fraction, seed=unit.seed)
        model, training = self._run(unit.row, recipe, index)
        logits = model.classifier.predict(self.test.images, batch_size=250, verbose=0)
        scores = {
            "top_1": top_k_accuracy(logits, self.test.labels, 1),
            "top_5": top_k_accuracy(logits, self.test.labels, 5) if self.num_classes > 5 else None,
            "num_labels": len(index),
            "setting": {"learning_rate": rate},
        }
        return [self._cell(unit, unit.fraction, scores)], training

    def _rate(self, unit):
        """The learning rate that is best on a quarter of the labels, by half runs of seed 0."""
        rates = self.plan.learning_rates
        if len(rates) == 1:
            return rates[0]
        index = label_subset(self.train.labels, unit.fraction, seed=0)
        labels = self.train.labels[index]
        groups = self.train.groups
        fit, held_out = hold_out(labels, seed=0, groups=groups if groups is None else groups[index])
        if not len(held_out):
            return rates[0]  # one label a class leaves none to choose by
        accuracies = []
        for rate in rates:
            settings = {**self._settings(dataclasses.replace(unit, seed=0)), "trial": rate}
            with result_lock(self.out / "locks" / f"trial-{_key(settings)}"):
                if _key(settings) not in self.found():
                    recipe = self._recipe(unit.row, 0, rate)
                    recipe = dataclasses.replace(recipe, num_epochs=-(-recipe.num_epochs // 2))
                    images = self.train.images[index[held_out]]
                    try:
                        model, _ = self._run(unit.row, recipe, index[fit])
                        logits = model.classifier.predict(images, batch_size=250, verbose=0)
                        accuracy = top_k_accuracy(logits, labels[held_out], 1)
                    except FloatingPointError as error:
                        click.echo(f"  Rate {rate:g} counts as 0: {error}")
                        accuracy = 0.0
                    self._keep(settings, {"trial_accuracy": accuracy})
            accuracies.append(self.found()[_key(settings)]["trial_accuracy"])
        return rates[int(np.argmax(accuracies))]

    def _cell(self, unit, fraction, scores):
        table = "linear" if fraction == 1.0 else "low_data"
        return {"row": unit.row, "table": table, "fraction": fraction, "seed": unit.seed, **scores}

    def _run(self, row, recipe, labeled_index=None):
        """A trained model and the metrics of its last epoch; of a directory in which it resumes."""
        num_steps = recipe.steps_per_epoch or self.steps_per_epoch
        scale = self._scale(recipe.num_epochs * num_steps)
        facts = {**self.common, "row": row}
        told = {**dataclasses.asdict(recipe), **facts}
        labels = None
        if labeled_index is not None:
            labels = self.train.labels
            told["labels"] = hashlib.sha256(labeled_index.tobytes()).hexdigest()
        directory = self.out / "runs" / f"{row}-{_key(told)}"
        model = run_pretraining(
            lambda: build_row(row, scale, num_classes=self.num_classes, seed=recipe.seed),
            self.train.images,
            run_directory=directory,
            recipe=recipe,
            facts=facts,
            labels=labels,
            labeled_index=labeled_index,
        )
        return model, read_metrics(directory / "metrics.csv")[-1]

    def _scale(self, num_steps=100):
        return Scale(self.train.image_shape, self.plan.encoder, len(self.train), num_steps)

    def _recipe(self, row, seed, rate):
        return Recipe(
            method=table_rows()[row],
            **self._length(row),
            batch_size=self.plan.batch_size,
            learning_rate=rate,
            # As it is in the names of run directories, those of rows without a ratio among them.
            unlabeled_ratio=0 if row == "supervised" else self.plan.ratio,
            seed=seed,
        )

    def _length(self, row):
        """A run's epochs: passes over the images, or ten parts of a budget in steps."""
        unit, budget = self.plan.unit, self.plan.budget
        if unit == "epochs":
            return {"num_epochs": int(budget)}
        if unit == "minutes":
            # Measured once, and the same for all seeds and processes. A row without a ratio is kept
            # under 1, whatever that of the others is: another one would time it anew.
            ratio = self._ratio(row) or 1
            settings = {**self.common, "row": row, "ratio": ratio, "timing": True}
            with result_lock(self.out / "locks" / f"timing-{row}"):
                if _key(settings) not in self.found():
                    self._keep(settings, {"seconds_a_step": self._seconds_a_step(row)})
            budget = 60 * budget / self.found()[_key(settings)]["seconds_a_step"]
        return {"num_epochs": EPOCHS, "steps_per_epoch": max(1, round(budget / EPOCHS))}

    def _seconds_a_step(self, row):
        model = build_row(row, self._scale(), num_classes=self.num_classes)
        model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        size = {"batch_size": self.plan.batch_size}
        batches = image_batches(self.train.images, **size)
        if self._with_labels(row):
            index = np.arange(len(self.train))
            batches = mixed_batches(
                self.train.images, self.train.labels, index, ratio=self._ratio(row), **size
            )
        clock = _StepClock()
        steps = WARM_STEPS + TIMED_STEPS
        model.fit(batches, steps_per_epoch=steps, callbacks=[clock], shuffle=False, verbose=0)
        return float(np.mean(clock.seconds[WARM_STEPS:]))

    # What is told.

    def write(self):
        """Write the tables of all results of this plan's data and budget, whatever their rows."""
        # One process after the other: the last one finds what all have kept, and none writes half.
        with result_lock(self.out / "tables.lock"):
            return self._write()

    def _write(self):
        built = [*RANDOM, *table_rows()]
        # Of this plan's rates and ratio alone: others would pass for further seeds.
        entries = [
            entry
            for entry in self.found().values()
            if "cells" in entry
            and entry["settings"]["row"] in built
            and entry["settings"] == self._settings(_unit_of(entry))
        ]
        cells = [cell for entry in entries for cell in entry["cells"]]
        found = method_tables(cells, built=built)
        plan = self.plan
        protocol = PROTOCOL.format(
            data=plan.data,
            num_images=f"{len(self.train):,}",
            shape="x".join(map(str, self.train.image_shape)),
            encoder=plan.encoder,
            budget=f"{plan.budget:g} {plan.unit} a run",
            batch_size=plan.batch_size,
            optimizer="AdamW with a cosine schedule",
            num_test=f"{len(self.test):,}",
            ratio=plan.ratio,
            num_probes=", ".join(f"{p['regularization']:g}" for p in PROBES),
            rates=", ".join(f"{rate:g}" for rate in plan.learning_rates),
        )
        told = {"settings": self.common, "protocol": protocol, "tables": found, "results": entries}
        (self.out / "tables.json").write_text(json.dumps(told, indent=1) + "\n")
        pictures = draw_method_tables(found, self.out)
        text = format_method_tables(found, protocol=protocol)
        shown = "\n\n".join(f"![{path.stem}]({path.name})" for path in pictures)
        (self.out / "tables.md").write_text(f"{text}\n{shown}\n" if shown else text)
        click.echo(f"Tables: {self.out / 'tables.md'}")
        return found


class _StepClock(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_train_batch_begin(self, batch, logs=None):
        self._begun = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds.append(time.perf_counter() - self._begun)


def _unit_of(entry):
    return _Unit(*(entry["settings"].get(field.name) for field in dataclasses.fields(_Unit)))


def _key(settings):
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
