"""How time and memory of a training step grow: `python -m benchmarks.scaling`.

One thing is varied at a time: the batch (16 to 512 images), the grid of patches (3x3 to 9x9), the
candidates (64 to 4,096 sampled, and all) and the size of the image (32 to 128 pixels, patches with
it, so that the grid stays 7x7). The rest is the base: 64 images of 32x32x3, patches of 8 at stride
4, the `tiny` encoder, two directions, offset 2 (3x3 patches allow no other), one context block of
32, patches augmented lightly, all patches of the batch as candidates.

Each point is a process of its own that does nothing else: the median time of a step, its input
pipeline included, the growth of the process's peak memory, and the operations of a step
(`models.describe`). Powers are fitted to each axis in log-log; time, or memory, grows faster than
the arithmetic where its power lies above that of the operations by more than two of its standard
errors. Results: benchmarks/results/scaling.json, in which what is there is not measured again, and
docs/images/scaling.png. About five minutes on two cores.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

import numpy as np

# TensorFlow is imported by the processes that measure alone: this one waits for them, and reports.

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
PICTURE = ROOT / "docs" / "images" / "scaling.png"

# "candidates": a number of sampled ones, or "all".
BASE = {"batch": 64, "image_size": 32, "patch_size": 8, "candidates": "all"}
# Name: what is varied, its values, what each sets, and what the whole axis has other than the base.
AXES = {
    "batch": ("images a batch", (16, 32, 64, 128, 256, 512), lambda x: {"batch": x}, {}),
    "grid": ("rows of patches", (3, 4, 5, 7, 9), lambda x: {"image_size": 4 * (x + 1)}, {}),
    # A batch of 64 has fewer than 4,096 to draw from.
    "candidates": (
        "candidates",
        (64, 256, 1024, 4096),
        lambda x: {"candidates": x},
        {"batch": 128},
    ),
    # Fewer images, for memory: those of 128 pixels have 16 times as many.
    "image size": (
        "pixels a side",
        (32, 48, 64, 96, 128),
        lambda x: {"image_size": x, "patch_size": x // 4},
        {"batch": 32},
    ),
}
# Scored against everything, scores are streamed: another computation, which belongs to no fit.
ALL = {**BASE, **AXES["candidates"][3]}
GROWING = {"time": "seconds", "memory": "peak_bytes", "arithmetic": "step_flops"}
ROUNDS = 5
# Steps of large batches are measured less often.
ENOUGH_SECONDS = 8.0


def main() -> None:
    """Measure what is missing, fit, save, draw; or be the process that measures one point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, help=f"default: {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--picture", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--axes", nargs="*", default=list(AXES), choices=AXES)
    parser.add_argument("--quick", action="store_true", help="two points an axis; needs --out")
    parser.add_argument("--again", action="store_true", help="measure what is there as well")
    parser.add_argument("--draw", action="store_true", help="only draw what is saved")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(measure(arguments.point, arguments.rounds)))
        return
    if arguments.quick and arguments.out is None:
        parser.error("--quick takes the place of no published result: pass --out.")
    # The picture of other results is drawn where it is asked for.
    picture = arguments.picture or (PICTURE if arguments.out is None else None)
    path = arguments.out or RESULTS
    if arguments.draw:
        draw(json.loads(path.read_text()), picture or PICTURE)
        return
    found = json.loads(path.read_text()) if path.exists() and not arguments.again else {}
    for key, spec in wanted(arguments.axes, quick=arguments.quick).items():
        if key in found.get("points", {}):
            continue
        point = _in_process(spec, arguments.rounds)
        machine = point.pop("machine")
        if found.setdefault("machine", machine) != machine:
            parser.error(f"{path} was measured on another machine: pass --again, or another --out.")
        found.setdefault("points", {})[key] = point
        print(key, json.dumps(point), flush=True)
        _write(path, found)
    found["axes"] = summarize(found["points"])
    _write(path, found)
    for name, told in found["axes"].items():
        print(name, json.dumps(told))
    if picture:
        draw(found, picture)


def spec_of(axis: str, value: int) -> dict:
    """What is measured at one point of an axis."""
    _, _, change, constant = AXES[axis]
    return {**BASE, **constant, **change(value)}


def key_of(spec: dict) -> str:
    """The name of a point; points that axes share have one."""
    candidates = spec["candidates"]
    told = candidates if candidates == "all" else f"{candidates} sampled"
    side = spec["image_size"]
    return f"{spec['batch']} images of {side}x{side}, patches of {spec['patch_size']}, {told}"


def wanted(axes=tuple(AXES), *, quick: bool = False) -> dict:
    """Return the points of all axes, by their keys; `quick`: the first two of each."""
    specs = [spec_of(axis, x) for axis in axes for x in AXES[axis][1][: 2 if quick else None]]
    if "candidates" in axes and not quick:
        specs.append(ALL)
    return {key_of(spec): spec for spec in specs}


def measure(spec: dict, rounds: int) -> dict:
    """Seconds, bytes and operations of a training step; for a process that does nothing else."""
    import keras

    from benchmarks.step import machine
    from cpc_keras import CPCModel
    from cpc_keras.data import image_batches
    from cpc_keras.models import describe

    batch, size, candidates = spec["batch"], spec["image_size"], spec["candidates"]
    sampled = {"candidates": "sampled", "num_negatives": candidates}
    model = CPCModel(
        (size, size, 3),
        patch_encoder="tiny",
        patch_size=spec["patch_size"],
        patch_stride=spec["patch_size"] // 2,
        offsets=(2,),
        directions=("down", "right"),
        context_blocks=1,
        context_filters=32,
        patch_augmentation="light",
        chunk_size=None,
        seed=0,
        **({"candidates": "all"} if candidates == "all" else sampled),
    )
    model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    model.make_train_function()
    images = np.random.default_rng(0).integers(0, 256, (2 * batch, size, size, 3), "uint8")

    def steps(batch_size):
        # Batches of no fixed size, so that what is traced with two images serves them all.
        batches = image_batches(images, batch_size=batch_size, drop_remainder=False)
        batches = iter(batches)
        return lambda: float(model.train_function(batches)["loss"])

    step = steps(2)
    for _ in range(2):
        step()  # what tracing takes
    step = steps(batch)
    before = _high_water()
    step()
    times = []
    while len(times) < rounds and (len(times) < 2 or sum(times) < ENOUGH_SECONDS):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    growth = _high_water() - before
    seconds = float(np.median(times))
    return {
        **spec,
        "seconds": round(seconds, 5),
        "images_per_second": round(batch / seconds, 1),
        "peak_bytes": growth,
        "step_flops": describe(model, batch_size=batch).step_flops,
        "num_steps": len(times),
        "machine": machine(),
    }


def _high_water():
    # Not getrusage: its peak begins at that of the process that started this one.
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status)[1])


def _in_process(spec, rounds):
    command = [sys.executable, "-m", "benchmarks.scaling", "--rounds", str(rounds)]
    done = subprocess.run(
        [*command, "--point", json.dumps(spec)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout.splitlines()[-1])


def fit_power(x, y) -> dict:
    """Fit `y = factor * x ** exponent` by least squares in log-log.

    Args:
        x: positive numbers, `[n]`, two different ones at least.
        y: positive numbers, `[n]`.

    Returns:
        Dict of `exponent`, `error` (its standard error; `None` of two points, which always lie on a
        line) and `factor`.
    """
    x, y = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    from_middle = x - x.mean()
    exponent = from_middle @ y / (from_middle @ from_middle)
    residuals = y - y.mean() - exponent * from_middle
    error = None
    if len(x) > 2:
        variance = residuals @ residuals / (len(x) - 2)
        error = float(np.sqrt(variance / (from_middle @ from_middle)))
    factor = np.exp(y.mean() - exponent * x.mean())
    return {"exponent": float(exponent), "error": error, "factor": float(factor)}


def summarize(points: dict) -> dict:
    """Fit the axes of which two points or more are there.

    Args:
        points: what was measured, by `key_of`.

    Returns:
        Dict by axis: `num_points`; `time`, `memory` and `arithmetic`, each a `fit_power`; and for
        time and memory also `beyond arithmetic`, by how much the exponent exceeds that of the
        operations; `error of that`, the standard error of this difference; and `faster`, whether
        the difference is more than twice the exponent's own `error` (`None` of two points). The
        error of the difference is often far smaller, and is no measure for `faster`: parts of a
        step that are computed at different rates make differences of some hundredths by themselves.
    """
    told = {}
    for axis in AXES:
        series = _series(points, axis)
        if len(series) < 2:
            continue
        x = [value for value, _ in series]
        y = {name: [point[key] for _, point in series] for name, key in GROWING.items()}
        told[axis] = {
            "num_points": len(series),
            **{name: _rounded(fit_power(x, values)) for name, values in y.items()},
        }
        for name in ("time", "memory"):
            # Of the ratio, whose exponent is the difference: what bends both curves alike (the
            # scores' part grows, say) is no error of the difference.
            ratio = fit_power(x, np.divide(y[name], y["arithmetic"]))
            own = fit_power(x, y[name])["error"]
            told[axis][name] |= {
                "beyond arithmetic": round(ratio["exponent"], 4),
                "error of that": None if own is None else round(ratio["error"], 4),
                "faster": None if own is None else bool(ratio["exponent"] > 2 * own),
            }
    return told


def _series(points, axis):
    keys = {x: key_of(spec_of(axis, x)) for x in AXES[axis][1]}
    return [(x, points[key]) for x, key in keys.items() if key in points]


def _rounded(fit):
    return {k: None if v is None else float(f"{v:.4g}") for k, v in fit.items()}


def _write(path, found):
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(path)


def draw(found: dict, path: pathlib.Path) -> None:
    """Draw a panel for each axis: time and memory, their fits, and the course of the arithmetic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(9, 6.6), layout="constrained")
    scales = {"time": ("C0", "o", 1.0), "memory": ("C1", "s", 2**-20)}
    for panel, (axis, (label, *_)) in zip(panels.flat, AXES.items(), strict=True):
        series = _series(found["points"], axis)
        if axis not in found["axes"]:
            panel.set_axis_off()
            continue
        fits, twin = found["axes"][axis], panel.twinx()
        x = np.array([value for value, _ in series], float)
        lines = []
        for side, (name, (color, marker, scale)) in zip((panel, twin), scales.items(), strict=True):
            y = scale * np.array([point[GROWING[name]] for _, point in series])
            side.plot(x, y, marker, color=color)
            fit = fits[name]
            (line,) = side.plot(x, scale * fit["factor"] * x ** fit["exponent"], color=color)
            error = "" if fit["error"] is None else f" ± {fit['error']:.2f}"
            line.set_label(f"{name}: power {fit['exponent']:.2f}{error}")
            lines.append(line)
            everything = found["points"].get(key_of(ALL))
            if axis == "candidates" and everything:
                num_candidates = ALL["batch"] * 7 * 7
                value = scale * everything[GROWING[name]]
                side.plot(num_candidates, value, marker, color=color, fillstyle="none")
                told = f"all {num_candidates:,}"
                place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "right"}
                side.annotate(told, (num_candidates, value), **place, fontsize=8, color=color)
            side.set_xscale("log", base=2)
            side.set_yscale("log")
            side.yaxis.label.set_color(color)
        seconds = np.array([point["seconds"] for _, point in series])
        flops = np.array([point["step_flops"] for _, point in series], float)
        # Through the middle of the times: only its course can be compared.
        flops *= np.exp(np.log(seconds).mean() - np.log(flops).mean())
        (line,) = panel.plot(x, flops, "--", color="0.5", zorder=0)
        line.set_label(f"arithmetic: power {fits['arithmetic']['exponent']:.2f}")
        for side in (panel, twin):
            side.set_xticks(x, [f"{n:,.0f}" for n in x])
            side.minorticks_off()
            _few_ticks(side)
        panel.set_xlabel(label)
        panel.set_ylabel("seconds a step")
        twin.set_ylabel("growth of peak memory, MiB")
        panel.legend(handles=[*lines, line], fontsize=8, loc="upper left")
    figure.savefig(path, dpi=130)


def _few_ticks(side):
    """Plain numbers, a few a decade: an axis of less than one would have none."""
    from matplotlib import ticker

    # Room above, for the legend.
    low, high = side.get_ylim()
    side.set_ylim(low, high * (high / low) ** 0.45)
    subs = (1, 2, 5) if high > 5 * low else (1, 1.5, 2, 3, 5, 7)
    side.yaxis.set_major_locator(ticker.LogLocator(subs=subs))
    side.yaxis.set_major_formatter(ticker.FuncFormatter(lambda y, _: f"{y:g}"))


if __name__ == "__main__":
    main()
