"""The images that a command works on, as its options name them."""

import dataclasses
import json
import os
import pathlib
import shlex
from collections.abc import Callable

import click
import yaml

# Of `--test-fraction`: one default, so that no command trains on another's test images.
TEST_FRACTION = 0.2
# What decides which images are split off.
SPLITTING = ("label_source", "test_fraction", "groups")


@dataclasses.dataclass(frozen=True)
class ChosenData:
    """What the data options say; `None` where they say nothing.

    Attributes:
        data: spec, as of `data.load_data`.
        image_size: in pixels.
        channels: a number, as text, as runs have it in their settings.
        pixel_range: "low,high".
        label_source: `labels` of `data.load_data`.
        images: so many training images are drawn, once.
        test_fraction: share to split off; 0 or `None` for nothing.
        groups: as of `data.load_data`.
        conflict: why nothing may be split off; empty if it may.
        left_out: file of a run that tells which images to split off, in place of a fraction.
    """

    data: str
    image_size: int | tuple[int, int] | None = None
    channels: str | None = None
    pixel_range: str | None = None
    label_source: str | None = None
    images: int | None = None
    test_fraction: float | None = TEST_FRACTION
    groups: str | None = None
    conflict: str = ""
    left_out: pathlib.Path | None = None

    def or_else(self, **defaults) -> "ChosenData":
        """Return the same, with these defaults where nothing is said."""
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **missing)

    def facts(self) -> dict:
        """What tells the images, and repeats them; of the rest what is no default."""
        told = {name: getattr(self, name) for name in ("data", "image_size", "channels")}
        more = {name: getattr(self, name) for name in DEFAULTS if name not in told}
        return told | {name: value for name, value in more.items() if value != DEFAULTS[name]}

    def load(
        self,
        *,
        only_labeled: bool = False,
        in_memory: bool = True,
        on_split: Callable[[list], None] = lambda marks: None,
    ):
        """Load the splits.

        Args:
            only_labeled: split nothing off images without labels, by which nobody could be
                measured.
            in_memory: as of `data.load_data`.
            on_split: called with the marks of the images that were split off, none where nothing
                was; not where the data brings test images.

        Raises:
            ValueError: as of `data.load_data`, or there is a conflict.
        """
        from cpc_keras.data import Splits, load_data
        from cpc_keras.data.left_out import image_marks
        from cpc_keras.data.split_off import split_at

        train, test = load_data(
            self.data,
            image_size=self.image_size,
            channels=int(self.channels) if self.channels else None,
            pixel_range=pixel_bounds(self.pixel_range),
            labels=self.label_source,
            groups=self.groups,
            in_memory=in_memory,
        )
        if test is None:
            split = self._split(train, only_labeled)
            on_split(image_marks(train, split))
            if len(split):
                train, test = split_at(train, split)
        return Splits(drawn(train, self.images), test)

    def _split(self, data, only_labeled):
        """Positions of the images to split off."""
        from cpc_keras.data.left_out import left_out_positions
        from cpc_keras.data.split_off import split_positions

        measurable = data.labels is not None or not only_labeled
        if not self.test_fraction or not (self.left_out or measurable):
            return []
        if self.conflict:
            raise ValueError(self.conflict)
        if self.left_out:
            return left_out_positions(self.left_out, data)
        return split_positions(data, self.test_fraction)

    def as_pretrained(self, runs: list[pathlib.Path]) -> "ChosenData":
        """Take over what runs on the same data were trained with, where no option is given.

        Args:
            runs: run directories or their `artifact`; what has no settings cannot tell.

        Returns:
            The same with these settings and the images that the runs have left out; with a conflict
            where others would be split off.

        Raises:
            ValueError: the runs differ in an option that is not given, or in what they left out.
        """
        from cpc_keras.data.left_out import LEFT_OUT, read_left_out

        context = click.get_current_context()
        found = {run: settings for run in runs if (settings := data_of_run(run))}
        here = place(self.data)
        pretrained = {run: v for run, v in found.items() if _same_data(place(v.data), here)}
        for run in (run for run in found if run not in pretrained):
            click.echo(
                f"{run} was pre-trained on {found[run].data}: {self.data} is taken for other data, "
                "of which it has left nothing out.",
                err=True,
            )
        files = {run: file for run in pretrained if (file := _of_run(run, LEFT_OUT)).is_file()}
        marks = {run: read_left_out(file) for run, file in files.items()}
        _require_equal(marks)
        left_out = next((file for run, file in files.items() if marks[run]), None)
        taken, conflict = {}, ""
        for name in DEFAULTS if pretrained else ():
            values = {run: getattr(found, name) for run, found in pretrained.items()}
            others = {run: v for run, v in values.items() if not _same(v, getattr(self, name))}
            if name not in context.params or not others:
                continue
            if context.get_parameter_source(name) != click.core.ParameterSource.DEFAULT:
                # A run without the file is known by its settings alone.
                knowing = [r for r in others if marks.get(r, pretrained[r].may_leave_out)]
                splits = name in SPLITTING and not (left_out and name == "label_source")
                if splits and knowing:
                    conflict = _conflict(knowing[0], name, values, getattr(self, name))
                continue
            value = _only_one(name, values)
            # Of all images: those to measure on are then among them, which `evaluate` tells.
            if value or name != "test_fraction":
                taken[name] = value
        if taken:
            told = f"{shlex.join(map(str, pretrained))} had: {as_options(taken)}"
            click.echo(f"Taken over from pre-training, as {told}", err=True)
        return dataclasses.replace(self, **taken, conflict=conflict, left_out=left_out)

    @property
    def may_leave_out(self) -> bool:
        """Whether a run with these settings splits images off, where the data has labels."""
        return bool(self.test_fraction) and self.label_source != "none"


# Of all but the data itself.
DEFAULTS = {
    field.name: field.default
    for field in dataclasses.fields(ChosenData)
    if field.name not in ("data", "conflict", "left_out")
}


def flag(name: str) -> str:
    """Name of the option of an attribute of `ChosenData`."""
    return "--labels" if name == "label_source" else f"--{name.replace('_', '-')}"


def as_options(chosen: dict) -> str:
    """What to write on the command line for attributes of `ChosenData`."""
    return shlex.join(text for name, v in chosen.items() for text in (flag(name), str(v)))


def drawn(data, count):
    """Return so many images, drawn with one seed and in their order; all where there are fewer."""
    import numpy as np

    if data is None or count is None or count >= len(data):
        return data
    some = data.subset(np.sort(np.random.default_rng(0).permutation(len(data))[:count]))
    # What was measured on others is not taken over.
    return dataclasses.replace(some, source=f"{data.source}, {count} drawn")


def pixel_bounds(text: str | None) -> tuple[float, float] | None:
    """Numbers of a `pixel_range`."""
    return tuple(map(float, text.split(","))) if text else None


def data_of_run(run: pathlib.Path) -> ChosenData | None:
    """What data a run, or the run of an artifact, was trained on; `None` where nothing tells."""
    path = _of_run(run, "config.yaml")
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    found = {k: v for k, v in found.items() if k in ("data", *DEFAULTS) and v is not None}
    found |= {k: str(v) for k, v in found.items() if k == "channels"}
    return ChosenData(**found) if "data" in found else None


def pixel_range_of(run: pathlib.Path) -> str | None:
    """The `pixel_range` that a run, its artifact or a copy of that was trained with, if any."""
    if found := data_of_run(run):
        return found.pixel_range
    preset = run / "preset.json"
    if not preset.is_file():
        return None
    return json.loads(preset.read_text(encoding="utf-8")).get("facts", {}).get("pixel_range")


def _of_run(run: pathlib.Path, name: str) -> pathlib.Path:
    """A file of a run, or of the run of an artifact."""
    return (run.parent if run.name == "artifact" else run) / name


def _require_equal(marks):
    """Refuse runs that have left out different images."""
    if any(told != next(iter(marks.values())) for told in marks.values()):
        listed = ", ".join(f"{run} ({len(told)})" for run, told in marks.items())
        raise ValueError(
            f"The runs have left out different test images: {listed}. Expected the same. Measure "
            "the runs one by one."
        )


def place(spec: str) -> str:
    """Return one name for the ways to write a path, of specs of `data.load_data`."""
    kind, _, name = str(spec).partition(":")
    path = name if kind in ("folder", "idx", "arrays") else str(spec)
    return os.path.realpath(os.path.expanduser(path))


def _same_data(there: str, here: str) -> bool:
    # As seen from elsewhere, or moved: nothing is at the run's path, and the name is the same.
    moved = not os.path.exists(there) and os.path.basename(there) == os.path.basename(here)
    return there == here or moved


def _same(value, other) -> bool:
    # A table lies elsewhere as seen from elsewhere.
    value, other = (pathlib.PurePath(v).name if isinstance(v, str) else v for v in (value, other))
    return value == other


def _only_one(name, values):
    """The value of all runs."""
    first = next(iter(values.values()))
    if not all(_same(value, first) for value in values.values()):
        listed = ", ".join(f"{value} ({run})" for run, value in values.items())
        raise ValueError(
            f"The runs were pre-trained with different {flag(name)}: {listed}. Expected one. Give "
            "the option, or measure the runs one by one."
        )
    return first


def _conflict(run, name, values, received):
    def told(value):
        return f"without {flag(name)}" if value is None else f"with {flag(name)} {value}"

    return (
        f"{run} was pre-trained {told(values[run])}. Received {told(received)}: other test images "
        "would be split off than pre-training has left out, and it would know some of them. Leave "
        "the option out to take that of the run, or pre-train with it."
    )
