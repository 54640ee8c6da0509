"""Options that several sub-commands share."""

import dataclasses

import click

# Of `--test-fraction`.
TEST_FRACTION = 0.2


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


def data_options(command):
    """Add `--data`, `--image-size` and `--channels`."""
    for option in (
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
    """Add `--test-fraction`: one default, so that no command trains on another's test images."""
    return click.option(
        "--test-fraction",
        type=click.FloatRange(0, 1, max_open=True),
        default=TEST_FRACTION,
        help="Share of the labelled images to split off as test images, where the data has none of "
        "its own; give all commands the same.",
    )(command)


def split_facts(test_fraction, groups):
    """What of a split is to be told and repeated: the options that are no defaults."""
    facts = {} if test_fraction == TEST_FRACTION else {"test_fraction": test_fraction}
    return facts if groups is None else {**facts, "groups": groups}


def load(
    data,
    image_size,
    channels,
    *,
    test_fraction=None,
    only_labeled=False,
    in_memory=True,
    groups=None,
    images=None,
):
    """Load the splits that the data options name.

    `test_fraction` of 0 or `None` splits nothing off; with `only_labeled` no images without labels
    either, by which nobody could be measured.
    """
    from cpc_keras.data import Splits, load_data, split_off

    splits = load_data(
        data,
        image_size=image_size,
        channels=int(channels) if channels else None,
        test_fraction=None if only_labeled else test_fraction or None,
        in_memory=in_memory,
        groups=groups,
    )
    if splits.test is None and splits.train.labels is not None and only_labeled and test_fraction:
        splits = split_off(splits.train, test_fraction)
    return Splits(drawn(splits.train, images), splits.test)


def drawn(data, count):
    """Return so many images, drawn with one seed and in their order; all where there are fewer."""
    import numpy as np

    if data is None or count is None or count >= len(data):
        return data
    some = data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[:count]))
    # What was measured on others is not taken over.
    return dataclasses.replace(some, source=f"{data.source}, {count} drawn")
