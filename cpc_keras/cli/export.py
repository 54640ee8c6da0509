"""`cpc-keras export`."""

import pathlib

import click


@click.command(context_settings={"show_default": True})
@click.argument("run", type=click.Path(exists=True, path_type=pathlib.Path))
@click.argument("out", type=click.Path(path_type=pathlib.Path))
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is there.")
def export(run, out, overwrite):
    """Write the newest checkpoint of RUN (or a .keras file) as the directory OUT.

    OUT opens with tf.keras.models.load_model, tf.saved_model.load and CPCModel.from_preset.
    """
    import keras

    from cpc_keras.models import CPCModel
    from cpc_keras.training.checkpoints import newest_checkpoint

    if run.is_dir():
        found = newest_checkpoint(run / "checkpoints")
        if found is None:
            raise click.ClickException(
                f"{run} has no readable checkpoint under {run / 'checkpoints'}. Expected a run of "
                "cpc-keras pretrain that finished an epoch, or a .keras file."
            )
        run = found[0]
    model = keras.saving.load_model(run)
    if not isinstance(model, CPCModel):
        raise click.ClickException(f"{run} holds a {type(model).__name__}, not a CPCModel.")
    model.export(out, overwrite=overwrite)
    click.echo(f"Encoder: {out}")
