"""Options that several sub-commands share."""

import dataclasses
import functools
import os
import pathlib

import click

from cpc_keras.cli.chosen_data import TEST_FRACTION, ChosenData


class RunPath(click.Path):
    """A run directory, an artifact or a file that is there, or the name of a shipped preset."""

    def __init__(self):
        super().__init__(exists=True, path_type=pathlib.Path)

    def convert(self, value, param, ctx):
        """Find the preset's directory where the name is none of a file."""
        if (
            isinstance(value, str)
            and not os.path.exists(value)
            and value == os.path.basename(value)
        ):
            from cpc_keras.presets.list_presets import preset_directories

            value = preset_directories().get(value, value)
        return super().convert(value, param, ctx)


class Numbers(click.ParamType):
    """Comma-separated numbers, for example `2,3,4`."""

    def __init__(self, kind):
        self.kind = kind
        self.name = f"{kind.__name__},..."

    def convert(self, value, param, ctx):
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"expected numbers separated by commas. Received: {value!r}.", param, ctx)


class ChannelCount(click.ParamType):
    """A number of channels, kept as text, as runs have it in their settings."""

    name = "n"

    def convert(self, value, param, ctx):
        """Check the number."""
        if not str(value).isdigit() or int(value) < 1:
            self.fail(f"expected a number of channels, such as 1 or 3. Received: {value!r}.")
        return str(int(value))


class PixelRange(click.ParamType):
    """Two numbers, kept as text, as runs have them in their settings."""

    name = "low,high"

    def convert(self, value, param, ctx):
        """Check the numbers."""
        parts = [part.strip() for part in str(value).split(",")]
        try:
            low, high = map(float, parts)
        except ValueError:
            self.fail(f"expected two numbers, such as 0,4095. Received: {value!r}.", param, ctx)
        if not low < high:
            self.fail(f"expected the lower number first. Received: {value!r}.", param, ctx)
        return ",".join(parts)


def groups_option(command):
    """Add `--groups`."""
    return click.option(
        "--groups",
        help="What no split may divide, such as patients: level:N, a folder of the images' paths, "
        "or FILE.csv:COLUMN.",
    )(command)


def images_option(command):
    """Add `--images`."""
    return click.option(
        "--images", type=click.IntRange(1), help="Training images, drawn once.  [all]"
    )(command)


def pixel_range_option(command):
    """Add `--pixel-range`."""
    return click.option(
        "--pixel-range",
        type=PixelRange(),
        help="Stored pixels that become black and white, such as 0,4095 for 12 bits in files of "
        "16.  [default: the whole range of 8 or 16 bits]",
    )(command)


def data_options(command):
    """Add `--data` and what goes with it; the command receives all data options as `chosen`.

    That is a `ChosenData`, also of `--images`, `--test-fraction` and `--groups` where it has them.
    """
    names = [field.name for field in dataclasses.fields(ChosenData)]

    @functools.wraps(command)
    def of_chosen(*args, **options):
        chosen = {name: options.pop(name) for name in names if name in options}
        return command(*args, chosen=ChosenData(**chosen), **options)

    return _source_options(of_chosen)


def _source_options(command):
    for option in (
        click.option(
            "--labels",
            "label_source",
            help="Where labels come from: FILE.csv:COLUMN, level:N, a folder of the images' paths, "
            "or none.  [default: the data, as a folder for each class]",
        ),
        pixel_range_option,
        click.option(
            "--channels",
            type=ChannelCount(),
            help="1 or 3: convert to grey or RGB; otherwise what arrays have.",
        ),
        click.option(
            "--image-size", type=int, help="Resize to this side, in pixels. Needed for mixed sizes."
        ),
        click.option(
            "--data",
            required=True,
            help="mnist_5k, tfds:NAME, a folder of images (PATH or folder:PATH), a directory of "
            "IDX files (PATH or idx:PATH), or a .npz or .npy file (PATH or arrays:PATH).",
        ),
    ):
        command = option(command)
    return command


def test_fraction_option(command):
    """Add `--test-fraction`."""
    return click.option(
        "--test-fraction",
        type=click.FloatRange(0, 1, max_open=True),
        default=TEST_FRACTION,
        help="Share of the labelled images to split off as test images, where the data has none of "
        "its own; give all commands the same.",
    )(command)
