"""What `check_leakage` found."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Colours that stay apart for colour-blind readers (Okabe and Ito 2008).
PREDICTING, TARGET, OVERLAP, NEITHER = "#56B4E9", "#E69F00", "#D55E00", "#F4F4F4"

REASONS = {
    "target": "depends on {n} pixels of its target",
    "outside": "depends on {n} pixels beyond the rows up to its own",
    "other_image": "depends on other images of the batch",
    "no_gradient": "changes with pixels that it must not see, though without a gradient (rounding, "
    "a threshold, stop_gradient)",
    "shape": "has another grid than its direction and offset give",
    "dead_prediction": "has no gradient for any pixel of its own patch",
    "dead_target": "has a target without gradient for any pixel of its patch",
}


class LeakageMap(NamedTuple):
    """Pixels behind one prediction, each boolean `[height, width]`, in the image as it is.

    Attributes:
        predicting: pixels that the prediction depends on.
        target: pixels of the patch that is predicted, and others that its code depends on.
        overlap: both.
    """

    predicting: np.ndarray
    target: np.ndarray
    overlap: np.ndarray


class LeakageFinding(NamedTuple):
    """Something wrong with the predictions of one direction and offset.

    Attributes:
        direction: "down", "up", "left" or "right".
        offset: rows (columns) ahead.
        position: row and column, in the grid of the image, of the patch that is predicted from;
            `None` where all positions are meant.
        reason: a key of `REASONS`.
        num_pixels: how many pixels of the image are concerned; 0 where that is not known.
    """

    direction: str
    offset: int
    position: tuple[int, int] | None
    reason: str
    num_pixels: int = 0

    def __str__(self):
        where = "everywhere" if self.position is None else f"from patch {self.position}"
        what = REASONS[self.reason].format(n=self.num_pixels)
        return f"{self.direction} {self.offset} {where}: {what}"


@dataclasses.dataclass(frozen=True)
class LeakageResult:
    """What `check_leakage` found; `str` makes a table of it, `draw` a picture.

    Attributes:
        maps: `LeakageMap` by `(direction, offset)` and by position: row and column, in the grid of
            the image, of the patch that is predicted from.
        leaks: predictions that depend on what they must not see.
        overlaps: predictions that share pixels with their target, also where that was agreed to
            with `allow_overlap=True`, and how many.
        dead: predictions without a gradient where there should be one. They prove nothing.
        grid: rows and columns of patches.
        patch_size: side of a patch, in pixels.
        patch_stride: step between patches, in pixels.
    """

    maps: dict[tuple[str, int], dict[tuple[int, int], LeakageMap]] = dataclasses.field(repr=False)
    leaks: Sequence[LeakageFinding]
    overlaps: Sequence[LeakageFinding]
    dead: Sequence[LeakageFinding]
    grid: tuple[int, int]
    patch_size: int
    patch_stride: int

    @property
    def ok(self) -> bool:
        """Whether there is no leak, and life everywhere."""
        return not self.leaks and not self.dead

    def __str__(self):
        head = ("direction", "offset", "predictions", "pixels seen", "shared", "leaks", "dead")
        rows = [head, *(self._row(*term) for term in self._terms())]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        lines = [
            "  ".join(
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        ]
        if self.ok:
            verdict = "No prediction depends on anything that it must not see."
            if self.overlaps:
                verdict += " Pixels shared with targets were agreed to (allow_overlap=True)."
        else:
            verdict = f"NOT OK: {len(self.leaks)} leaks, {len(self.dead)} dead predictions."
        findings = [*self.leaks, *self.dead]
        details = [f"- {finding}" for finding in findings[:8]]
        if len(findings) > len(details):
            details.append(f"- and {len(findings) - len(details)} more")
        return "\n".join([*lines, verdict, *details])

    def _terms(self):
        found = [(f.direction, f.offset) for f in (*self.leaks, *self.dead)]
        return list(dict.fromkeys([*self.maps, *found]))

    def _row(self, direction, offset):
        def count(findings):
            return sum((f.direction, f.offset) == (direction, offset) for f in findings)

        maps = self.maps.get((direction, offset), {}).values()
        seen = [int(m.predicting.sum()) for m in maps]
        shared = max((int(m.overlap.sum()) for m in maps), default=0)
        return (
            direction,
            str(offset),
            str(len(maps)),
            f"{min(seen)}..{max(seen)}" if seen else "-",
            str(shared),
            str(count(self.leaks)),
            str(count(self.dead)),
        )

    def draw(
        self, path: str | os.PathLike, *, position: tuple[int, int] | None = None
    ) -> pathlib.Path:
        """Draw, for each direction and offset, the pixels that predict and those predicted.

        Args:
            path: PNG file to write; replaced if there is one.
            position: row and column of the patch that is predicted from; by default the one
                nearest to the middle of the grid that has a target, for each direction.

        Returns:
            The path.

        Raises:
            ValueError: no prediction was checked at that position, or none at all.
        """
        terms = [term for term in self.maps if position is None or position in self.maps[term]]
        if not terms:
            where = "" if position is None else f" from patch {position}"
            raise ValueError(
                f"LeakageResult.draw: no prediction{where} was checked. Leave `position` out, or "
                "check that position."
            )
        directions = list(dict.fromkeys(direction for direction, _ in terms))
        offsets = sorted({offset for _, offset in terms})
        # The object interface: pyplot would keep global state and pick a window system.
        from matplotlib.figure import Figure

        figure = Figure(
            figsize=(2.3 * max(len(offsets), 2) + 0.4, 2.5 * len(directions) + 0.9),
            layout="constrained",
        )
        grid = figure.subplots(len(directions), len(offsets), squeeze=False)
        for axes_of_direction, direction in zip(grid, directions, strict=True):
            shared = self._positions_of_all_offsets(terms, direction)
            for axes, offset in zip(axes_of_direction, offsets, strict=True):
                if (direction, offset) not in terms:
                    axes.set_axis_off()
                    continue
                maps = self.maps[direction, offset]
                self._draw_map(
                    axes,
                    maps,
                    position or _middle(shared or list(maps), self.grid),
                    f"{direction}, offset {offset}",
                )
        self._draw_legend(figure)
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", dpi=110)
        return path

    def _positions_of_all_offsets(self, terms, direction):
        # One patch for a whole line of pictures, where there is one: its targets then move away.
        maps = [self.maps[term] for term in terms if term[0] == direction]
        return [p for p in maps[0] if all(p in m for m in maps)]

    def _draw_map(self, axes, maps, position, title):
        from matplotlib.colors import to_rgb
        from matplotlib.patches import Rectangle

        found = maps[position]
        picture = np.empty((*found.overlap.shape, 3))
        picture[:] = to_rgb(NEITHER)
        picture[found.predicting] = to_rgb(PREDICTING)
        picture[found.target] = to_rgb(TARGET)
        picture[found.overlap] = to_rgb(OVERLAP)
        height, width = found.overlap.shape
        axes.imshow(picture, interpolation="nearest", extent=(0, width, height, 0))
        row, column = position
        corner = (column * self.patch_stride, row * self.patch_stride)
        size = self.patch_size
        axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor="black", linewidth=1.5))
        axes.set_xticks(range(0, width + 1, size), minor=False)
        axes.set_yticks(range(0, height + 1, size), minor=False)
        axes.tick_params(labelsize=7, length=2)
        axes.grid(color="white", linewidth=0.5)
        shared = int(found.overlap.sum())
        axes.set_title(f"{title}: {shared} shared" if shared else title, fontsize=9)

    def _draw_legend(self, figure):
        from matplotlib.patches import Patch

        handles = [
            Patch(facecolor=PREDICTING, label="the prediction depends on"),
            Patch(facecolor=TARGET, label="its target"),
            Patch(facecolor=OVERLAP, label="both"),
            Patch(facecolor="none", edgecolor="black", label="patch that it is made from"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8)


def _middle(positions, grid):
    center = [(n - 1) / 2 for n in grid]
    return min(positions, key=lambda p: sum((a - b) ** 2 for a, b in zip(p, center, strict=True)))
