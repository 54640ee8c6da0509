"""`cpc-keras embed`."""

import pathlib
import shlex

import click

from cpc_keras.cli.chosen_data import pixel_bounds, pixel_range_of
from cpc_keras.cli.options import pixel_range_option


@click.command(context_settings={"show_default": True})
@click.argument("encoder")
@click.option(
    "--data",
    required=True,
    help="A folder of images (PATH or folder:PATH), tfds:NAME, or parquet:PATH.",
)
@click.option("--out", required=True, type=click.Path(path_type=pathlib.Path), help="Directory.")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["parquet", "npy"]),
    default="parquet",
    help="Of the features.",
)
@click.option("--image-size", type=click.IntRange(1), help="For an encoder that takes any size.")
@pixel_range_option
@click.option("--batch-size", type=click.IntRange(1), default=64, help="Images at a time.")
@click.option("--shard-size", type=click.IntRange(1), default=4096, help="Images a file.")
@click.option("--beam", is_flag=True, help='Run on Apache Beam (extra "beam").')
@click.option(
    "--beam-options",
    default="",
    help='Of Beam, such as "--runner=FlinkRunner --flink_master=host:8081".  [default: local]',
)
def embed(
    encoder,
    data,
    out,
    file_format,
    image_size,
    pixel_range,
    batch_size,
    shard_size,
    beam,
    beam_options,
):
    """Write names and features of all images of DATA.

    ENCODER is an artifact, a run directory, a .keras file or the name of a preset. Writes
    OUT/features-*.parquet (or .npy) and OUT/unreadable-*.csv; the same command again goes on. A
    run's --pixel-range is taken over where none is given.
    """
    from cpc_keras.embedding import embed_images, embed_on_beam, open_encoder

    trained = None if pixel_range else pixel_range_of(pathlib.Path(encoder))
    if trained:
        pixel_range = trained
        click.echo(f"As {encoder} was trained: --pixel-range {pixel_range}", err=True)
    common = {
        "image_size": (image_size, image_size) if image_size else None,
        "pixel_range": pixel_bounds(pixel_range),
        "batch_size": batch_size,
        "shard_size": shard_size,
    }
    if beam_options and not beam:
        raise click.UsageError("--beam-options goes with --beam.")
    if beam:
        if file_format != "parquet":
            raise click.UsageError("--beam writes Parquet. Leave --format out.")
        options = shlex.split(beam_options)
        summary = embed_on_beam(encoder, data, out, options=options, **common)
    else:
        opened = open_encoder(encoder)
        summary = embed_images(opened, data, out, file_format=file_format, **common)
    click.echo(
        f"{summary['images']} images, {summary['unreadable']} of them unreadable, in "
        f"{summary['shards']} files: {out}"
    )
