"""`cpc-keras demo`."""

import dataclasses
import pathlib

import click

from cpc_keras.cli.chosen_data import ChosenData
from cpc_keras.cli.evaluate import compare
from cpc_keras.cli.pretrain import pretrain_and_export
from cpc_keras.data import Splits
from cpc_keras.training import RECIPES, deterministic_ops

# "smoke" goes the whole way in a minute or two; its figures mean nothing.
BUDGETS = {
    "full": {"steps": (150, 250), "fractions": (0.01, 0.05, 0.1, 1.0), "num_draws": 3},
    "smoke": {"steps": (3, 3), "fractions": (0.01, 1.0), "num_draws": 2},
}


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(path_type=pathlib.Path), default="runs/demo", help="Output.")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Pre-training seeds.")
@click.option("--budget", type=click.Choice(list(BUDGETS)), default="full", help="How much work.")
def demo(out, seeds, budget):
    """Pre-train on MNIST-5k, export, and measure what it is worth.

    4,000 digits to train on, 1,000 to test. The same command again resumes, or prints the results
    that are there.
    """
    deterministic_ops()
    splits = ChosenData("mnist_5k").load()
    recipe = RECIPES["mnist_5k"]
    if budget == "smoke":
        recipe = dataclasses.replace(recipe, num_epochs=1)
        splits = Splits(
            splits.train.subset(range(0, 4000, 4)), splits.test.subset(range(0, 1000, 5))
        )
    runs = []
    for seed in range(seeds):
        run = out / f"seed-{seed}"
        artifact = pretrain_and_export(
            splits,
            dataclasses.replace(recipe, seed=seed),
            run,
            facts={"data": "mnist_5k", "budget": budget},
            command=f"cpc-keras demo --seeds {seeds}",
        )
        runs.append(run)
    compare(splits, runs, out, augmentation="digits", **BUDGETS[budget])
    click.echo(f"Encoder: {artifact}  (tf.keras.models.load_model opens it)")
