"""`cpc-keras presets`."""

import click


@click.command(context_settings={"show_default": True})
def presets():
    """List the encoders that come with the package, and what they are worth.

    CPCModel.from_preset(NAME) loads one, to compile and train on.
    cpc-keras describe NAME tells more.
    """
    from cpc_keras.presets import list_presets

    found = list_presets()
    if not found:
        click.echo("No preset is installed. cpc-keras demo makes one.")
    for name, facts in found.items():
        model = facts["model"]
        shape = "x".join(map(str, model["image_shape"]))
        click.echo(f"{name}: {facts['method']}, images {shape}, {model['feature_dim']} features")
        click.echo(f"  trained on {facts['data']}")
        for score in _best(facts["scores"]):
            seeds = f"{score['seeds']} seeds"
            if "evaluation" in score:
                seeds += f", evaluation {score['evaluation']} of its card"
            click.echo(
                f"  {100 * score['share of labels']:g}% of the labels ({score['labels']}): "
                f"{100 * score['accuracy']:.1f}% ({score['row']}, {seeds})"
            )


def _best(scores):
    """The best of frozen and fine-tuned features for each number of labels, fewest first."""
    best = {}
    for score in scores:
        row = str(score.get("row"))
        place = score.get("labels"), score.get("evaluation", 1)
        if (row.startswith("cpc_") or row == "linear_probe") and (
            place not in best or score["accuracy"] > best[place]["accuracy"]
        ):
            best[place] = score
    return [best[place] for place in sorted(best)]
