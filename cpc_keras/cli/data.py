"""`cpc-keras data`."""

import dataclasses
import pathlib

import click
import numpy as np

from cpc_keras.cli.options import data_options, groups_option
from cpc_keras.data import find_duplicates
from cpc_keras.data.mixed_sizes_error import MixedSizesError
from cpc_keras.data.skipped_file import write_skipped

# Lines of a list; the rest is counted.
SHOWN = 10
# To which images of mixed sizes are resized; many fit into memory.
LOOK_SIZE = 96


@click.group()
def data():
    """Look at images before they are used."""


@data.command(context_settings={"show_default": True})
@data_options
@groups_option
@click.option("--test-fraction", type=float, help="Split off, where there are no test images.")
@click.option(
    "--skipped", type=click.Path(path_type=pathlib.Path), help="CSV file for what was skipped."
)
def check(chosen, skipped):
    """Tell what images are there, what would be skipped, and what is there twice.

    Nothing is changed. Counts images and classes of each split, tells sizes where they are mixed
    and the range of the pixels, lists files that cannot be read, and finds test images that are
    also training images.
    """
    try:
        splits = chosen.load()
    except MixedSizesError as error:
        told = [f"{h}x{w} ({count} files)" for (h, w), count in error.counts.most_common()]
        click.echo(f"{len(told)} sizes (height x width): {_some(told)}")
        click.echo(f"  to train, give --image-size; what follows is of {LOOK_SIZE}x{LOOK_SIZE}")
        splits = dataclasses.replace(chosen, image_size=LOOK_SIZE).load()
    if chosen.label_source is None and splits.train.names and splits.train.labels is not None:
        click.echo("labels: the names of folders (others by --labels)")
    elif chosen.label_source is not None:
        click.echo(f"labels: {chosen.label_source}")
    parts = {"train": splits.train, "test": splits.test}
    unread = []
    for name, part in parts.items():
        if part is None:
            click.echo(f"{name}: none (--test-fraction 0.2 splits a fifth off)")
            continue
        click.echo(f"{name}: {len(part)} images of {'x'.join(map(str, part.image_shape))}")
        click.echo(f"  pixels: {_pixels(part, chosen.pixel_range)}")
        click.echo(f"  {_classes(part)}")
        if part.groups is not None:
            click.echo(f"  {len(set(part.groups))} groups, none of them in another split")
        copies = find_duplicates(part.images)
        if len(copies):
            click.echo(f"  {len(copies)} are copies of others: {_pairs(copies, part, part)}")
        unread += part.skipped
    if splits.test is not None:
        copies = find_duplicates(splits.test.images, splits.train.images)
        click.echo(
            f"test images that are also training images: {len(copies)}"
            + (f": {_pairs(copies, splits.test, splits.train)}" if len(copies) else "")
        )
    click.echo(f"files that cannot be read: {len(unread)}")
    for file in unread[:SHOWN]:
        click.echo(f"  {file.path}: {file.reason}")
    if len(unread) > SHOWN:
        click.echo(f"  and {len(unread) - SHOWN} more (--skipped FILE.csv lists all)")
    if skipped is not None:
        write_skipped(skipped, unread, replace=False)
        click.echo(f"Written: {skipped}")


def _classes(part):
    if part.labels is None:
        return "no labels"
    if part.labels.ndim == 2:
        return f"{part.labels.shape[1]} classes, {part.labels.sum(axis=1).mean():.2g} an image"
    labels, counts = np.unique(part.labels[part.labels >= 0], return_counts=True)
    names = [part.class_names[i] if part.class_names else str(i) for i in labels]
    told = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    rest = len(part) - counts.sum()
    return f"{len(told)} classes: {_some(told)}" + (f"; {rest} without a label" if rest else "")


def _pixels(part, pixel_range):
    told = f"{part.images.min()} to {part.images.max()}"
    stored = [f"{low} to {high} ({kind})" for kind, (low, high) in part.stored_values.items()]
    if not stored:
        return told
    scaled = f"by {pixel_range}" if pixel_range else "by the whole range"
    return f"{told}, scaled {scaled} from stored values {', '.join(stored)}"


def _some(told):
    more = f", and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more


def _pairs(pairs, part, other):
    told = [f"{_name(part, a)} = {_name(other, b)}" for a, b in pairs[:3].tolist()]
    return ", ".join(told) + (", ..." if len(pairs) > 3 else "")


def _name(part, position):
    return part.names[position] if part.names else f"number {position}"
