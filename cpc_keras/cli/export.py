"""`cpc-keras export`."""

import json
import pathlib

import click


@click.command(context_settings={"show_default": True})
@click.argument("run", type=click.Path(exists=True, path_type=pathlib.Path))
@click.argument("out", type=click.Path(path_type=pathlib.Path))
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is there.")
@click.option(
    "--results",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="results.json of cpc-keras evaluate or demo, whose scores go onto the model card.",
)
def export(run, out, overwrite, results):
    """Write the newest checkpoint of RUN (or a .keras file) as the directory OUT.

    OUT opens with tf.keras.models.load_model, tf.saved_model.load and CPCModel.from_preset.
    """
    from cpc_keras.models import PretrainingModel
    from cpc_keras.training import load_newest

    model = load_newest(run)
    if not isinstance(model, PretrainingModel):
        raise click.ClickException(
            f"{run} holds a {type(model).__name__}. Expected one of cpc_keras, such as CPCModel."
        )
    facts = recorded_facts(run)
    if results:
        facts |= scores_of(json.loads(results.read_text()))
    model.export(out, overwrite=overwrite, facts=facts)
    click.echo(f"Encoder: {out}")


def recorded_facts(run: pathlib.Path) -> dict:
    """Return what the run's own artifact says of its training: method, data, command, ..."""
    preset = run / "artifact" / "preset.json"
    if not preset.is_file():
        return {}
    told = json.loads(preset.read_text(encoding="utf-8"))
    return {**{name: told[name] for name in ("method", "data", "command")}, **told["facts"]}


def scores_of(results: dict) -> dict:
    """Return what a model card says of an evaluation: command, data, protocol, scores."""
    return {
        "evaluated by": results["facts"]["command"],
        "evaluated on": results["facts"]["data"],
        "protocol": results["protocol"],
        "scores": [
            {
                "row": cell["row"],
                "share of labels": cell["fraction"],
                "labels": cell["num_labels"],
                "accuracy": round(cell["accuracy"], 4),
                "deviation over draws": _rounded(cell["draw_deviation"]),
                "deviation over seeds": _rounded(cell["seed_deviation"]),
                "seeds": results["num_seeds"],
            }
            for cell in results["summary"]
        ],
    }


def _rounded(value):
    return None if value is None else round(value, 4)
