"""`cpc-keras report`."""

import pathlib

import click


@click.command(context_settings={"show_default": True})
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path),
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="HTML file to write.  [default: report.html in the RUN; of several none]",
)
@click.option("--title", help="Heading.  [default: from the data]")
def report(runs, out, title):
    """Write one page about a run, or about several runs beside each other.

    RUNS are directories of cpc-keras pretrain, evaluate or demo. The page is made from the files
    that lie there; no images or models are needed, and nothing is measured anew.
    """
    from cpc_keras.cli.read_evidence import read_evidence
    from cpc_keras.evaluation import write_report

    if out is None:
        if len(runs) > 1:
            raise click.UsageError("A report on several runs needs --out, the file to write.")
        out = runs[0] / "report.html"
    short = [run.resolve().name for run in runs]
    # Where two directories have the same name, the paths tell them apart.
    names = short if len(set(short)) == len(short) else [str(run) for run in runs]
    evidence = [read_evidence(run, name=name) for run, name in zip(runs, names, strict=True)]
    click.echo(f"Report: {write_report(out, evidence, title=title or report_title(evidence))}")


def report_title(evidence) -> str:
    """The heading of a report on runs."""
    from cpc_keras.evaluation import method_title

    data = {run.results.get("settings", {}).get("data") for run in evidence} - {None}
    on = f" on {data.pop()}" if len(data) == 1 else ""
    methods = {method_title(run.method) for run in evidence}
    name = f"pre-training with {methods.pop()}" if len(methods) == 1 else "pre-training"
    name = "contrastive predictive coding" if name.endswith("CPC") else name
    if len(evidence) == 1:
        return f"{name[0].upper()}{name[1:]}{on}"
    return f"{len(evidence)} runs of {name}{on}"
