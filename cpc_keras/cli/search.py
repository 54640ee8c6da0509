"""`cpc-keras search`."""

import pathlib

import click

from cpc_keras.augmentations import IMAGE_AUGMENTATIONS
from cpc_keras.cli.options import Numbers, data_options, groups_option, test_fraction_option
from cpc_keras.cli.recipe_options import chosen_recipe, set_option
from cpc_keras.training import RECIPES


@click.command(context_settings={"show_default": True})
@data_options
@test_fraction_option
@groups_option
@click.option("--trials", required=True, type=click.IntRange(1), help="Settings to try.")
@click.option(
    "--out", required=True, type=click.Path(path_type=pathlib.Path), help="Directory of the search."
)
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="default", help="Start from.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the images, a trial.")
@click.option("--batch-size", type=click.IntRange(1), help="Images a step.  [default: recipe]")
@set_option
@click.option(
    "--probe",
    type=click.Choice(["linear", "knn"]),
    default="linear",
    help="What is maximised: its accuracy on held-out labels of the training images.",
)
@click.option(
    "--oracle", type=click.Choice(["random", "bayesian"]), default="random", help="Who proposes."
)
@click.option("--widths", type=Numbers(int), default="8,16,32,64", help="Of the encoder.")
@click.option("--depths", type=Numbers(int), default="1,2,3", help="Of the encoder.")
@click.option("--patch-sizes", type=Numbers(int), help="Pixels.  [default: all that fit]")
@click.option(
    "--image-augmentation",
    "augmentations",
    type=click.Choice(IMAGE_AUGMENTATIONS),
    multiple=True,
    help="To choose from; may be repeated.  [default: none and photos; digits for mnist_5k]",
)
@click.option("--seed", type=int, default=0, help="Of everything that is drawn.")
@click.option(
    "--worker-timeout", type=float, default=120.0, help="Seconds until a silent worker is given up."
)
def search(
    chosen,
    trials,
    out,
    recipe,
    epochs,
    batch_size,
    settings,
    probe,
    oracle,
    widths,
    depths,
    patch_sizes,
    augmentations,
    seed,
    worker_timeout,
):
    """Search settings whose features are worth most, by a probe on held-out labels.

    Writes OUT/best.yaml, whose settings cpc-keras pretrain takes, OUT/trials.csv and .json, every
    trial with its score or its error, and OUT/trials.png. The same command again resumes.

    In parallel: the same command on every machine, with KERASTUNER_ORACLE_IP and
    KERASTUNER_ORACLE_PORT of one of them, KERASTUNER_TUNER_ID=chief there and another id on each
    of the others, and an OUT that all share.
    """
    from cpc_keras.search import CPCHyperModel, run_search
    from cpc_keras.training import deterministic_ops

    deterministic_ops()
    named = {"num_epochs": epochs, "batch_size": batch_size, "seed": seed}
    base = chosen_recipe(recipe, {}, settings, **named)
    chosen = chosen.or_else(image_size=base.image_size, channels=base.channels)
    train = chosen.load().train
    usual = ("none", "digits") if chosen.data == "mnist_5k" else ("none", "photos")
    hypermodel = CPCHyperModel(
        train.image_shape,
        base=base,
        widths=widths,
        depths=depths,
        patch_sizes=patch_sizes,
        image_augmentations=augmentations or usual,
        probe=probe,
    )
    rows = run_search(
        hypermodel,
        train,
        directory=out,
        num_trials=trials,
        oracle=oracle,
        seed=seed,
        facts=chosen.facts(),
        worker_timeout=worker_timeout,
    )
    if not rows:
        click.echo("This worker is done; the chief writes the results.")
        return
    failed = [row for row in rows if row["status"] == "FAILED"]
    for row in rows[:5]:
        if row["probe_accuracy"] is not None:
            click.echo(f"trial {row['trial']}: {probe} probe {row['probe_accuracy']:.4f}")
    for row in failed:
        click.echo(f"trial {row['trial']} FAILED: {row['error']}")
    click.echo(f"{len(rows)} trials, {len(failed)} failed: {out / 'trials.csv'}")
    click.echo(f"Best settings: {out / 'best.yaml'}")
