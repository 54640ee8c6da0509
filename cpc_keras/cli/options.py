"""Options that several sub-commands share."""

import click


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


def data_options(command):
    """Add `--data`, `--image-size` and `--channels`."""
    for option in (
        click.option("--channels", type=click.Choice(["1", "3"]), help="Convert to grey or RGB."),
        click.option(
            "--image-size", type=int, help="Resize to this side, in pixels. Needed for mixed sizes."
        ),
        click.option(
            "--data",
            required=True,
            help="mnist_5k, tfds:NAME, or a folder of JPEG/PNG images (PATH or folder:PATH).",
        ),
    ):
        command = option(command)
    return command


def load(data, image_size, channels, *, test_fraction=None, in_memory=True):
    """Load the splits that the data options name."""
    from cpc_keras.data import load_data

    return load_data(
        data,
        image_size=image_size,
        channels=int(channels) if channels else None,
        test_fraction=test_fraction,
        in_memory=in_memory,
    )
