"""`cpc-keras export`."""

import json
import pathlib
import statistics

import click


@click.command(context_settings={"show_default": True})
@click.argument("run", type=click.Path(exists=True, path_type=pathlib.Path))
@click.argument("out", type=click.Path(path_type=pathlib.Path))
@click.option("--overwrite", is_flag=True, help="Replace an artifact that is there.")
@click.option(
    "--no-optimizer",
    is_flag=True,
    help="Leave out the optimizer's state, most of OUT, which from_preset does without.",
)
@click.option(
    "--results",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="results.json of cpc-keras evaluate or demo, whose scores go onto the model card. May be "
    "given more than once.",
)
def export(run, out, overwrite, no_optimizer, results):
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
        if len({path.resolve() for path in results}) < len(results):
            raise click.UsageError("--results: the same file twice. Give each once.")
        told = [json.loads(path.read_text()) for path in results]
        _require_own_scores(run, dict(zip(results, told, strict=True)))
        facts |= scores_of(*told)
    model.export(out, overwrite=overwrite, include_optimizer=not no_optimizer, facts=facts)
    click.echo(f"Encoder: {out}")


def recorded_facts(run: pathlib.Path) -> dict:
    """Return what the run's own artifact says of its training: method, data, command, ..."""
    preset = run / "artifact" / "preset.json"
    if not preset.is_file():
        return {}
    told = json.loads(preset.read_text(encoding="utf-8"))
    return {**{name: told[name] for name in ("method", "data", "command")}, **told["facts"]}


def scores_of(*results: dict) -> dict:
    """Return what a model card says of evaluations: command, data, protocol, scores.

    Of several evaluations each score has the number of its own, from 1.

    Args:
        results: what `results.json` holds, of one evaluation or several.
    """
    told = {
        "evaluated by": [r["facts"]["command"] for r in results],
        "evaluated on": [r["facts"]["data"] for r in results],
        "protocol": [r["protocol"] for r in results],
    }
    if len(results) == 1:
        told = {name: value for name, (value,) in told.items()}
        return {**told, "scores": _scores(results[0])}
    scores = [
        {"evaluation": number, **score}
        for number, result in enumerate(results, 1)
        for score in _scores(result)
    ]
    return {**told, "scores": scores}


def _require_own_scores(run, results):
    """Refuse evaluations that are not of this run."""
    preset = run / "artifact" / "preset.json"
    if not preset.is_file():
        return
    weights = json.loads(preset.read_text(encoding="utf-8"))["sha256"]["model.weights.h5"]
    for path, told in results.items():
        if weights not in told.get("weights", [weights]):
            raise click.ClickException(
                f"{path} is an evaluation of other weights than those of {run} (it was made by "
                f"{told['facts']['command']}). Expected one that {run} was among; evaluate it "
                "anew if it was trained on since."
            )


def _scores(results):
    scores = [
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
    ]
    by_protocol = {}
    for result in results.get("protocols", ()):
        by_protocol.setdefault((result["protocol"], result["num_labels"]), []).append(result)
    for (protocol, num_labels), found in by_protocol.items():
        accuracies = [result["top_1"] for result in found if "top_1" in result]
        if accuracies:
            scores.append(
                {
                    "row": protocol,
                    "share of labels": 1.0,
                    "labels": num_labels,
                    "accuracy": round(statistics.mean(accuracies), 4),
                    "deviation over draws": None,
                    "deviation over seeds": _rounded(
                        statistics.stdev(accuracies) if len(accuracies) > 1 else None
                    ),
                    "seeds": len(accuracies),
                }
            )
    return scores


def _rounded(value):
    return None if value is None else round(value, 4)
