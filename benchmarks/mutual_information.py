"""Estimators of mutual information where it is known: `python -m benchmarks.mutual_information`.

Pairs of correlated Gaussians have a mutual information of `-dim / 2 * ln(1 - rho^2)` nats (the
experiment of Poole et al. 2019, arXiv:1905.06922, figure 2). Each estimator is measured with the
best scores, ln p(x, y) / (p(x) p(y)) in closed form, and with scores that were trained by its own
gradient on fresh pairs; both are measured on further fresh pairs. About 80 seconds on one thread.
Results: benchmarks/results/mutual_information.json; docs/images/mutual_information.png and the
table in docs/mutual_information.md are made from it.
"""

import argparse
import json
import math
import pathlib

import keras
import numpy as np
from keras import ops

from cpc_keras.losses import donsker_varadhan, info_nce_bound, jensen_shannon, nwj

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mutual_information.json"
FIGURE = ROOT / "docs" / "images" / "mutual_information.png"
PAGE = ROOT / "docs" / "mutual_information.md"
MARKS = ("<!-- the table of benchmarks/mutual_information.py -->", "<!-- its end -->")


def read_off(scores):
    """Mutual information from scores that Jensen-Shannon trained."""
    return nwj(1.0 + scores)


# Name: what trains the scores, what is read off them, what the best scores are short of by, and the
# title and colour in the figure.
ESTIMATORS = {
    "info_nce": (info_nce_bound, info_nce_bound, 0.0, "InfoNCE", "#0072B2"),
    "nwj": (nwj, nwj, 1.0, "NWJ", "#D55E00"),
    "donsker_varadhan": (donsker_varadhan, donsker_varadhan, 0.0, "Donsker-Varadhan", "#009E73"),
    "jensen_shannon": (jensen_shannon, read_off, 0.0, "Jensen-Shannon, read by NWJ", "#CC79A7"),
}
CRITICS = {"optimal": "best scores, in closed form", "trained": "trained scores, fresh pairs"}


def correlation(information: float, dim: int) -> float:
    """The correlation of each of `dim` coordinates that gives this mutual information, nats."""
    return math.sqrt(1.0 - math.exp(-2.0 * information / dim))


def best_map(information: float, dim: int) -> np.ndarray:
    """The map of `Critics` that makes ln p(x, y) / (p(x) p(y)) of the scores."""
    rho = correlation(information, dim)
    own, cross = rho**2 / (2 * (1 - rho**2)), rho / (1 - rho**2)
    result = np.zeros((2 * dim + 1, 2 * dim + 1))
    np.fill_diagonal(result[:dim, :dim], cross)
    result[dim : 2 * dim, -1] = result[-1, dim : 2 * dim] = -own * math.sqrt(2)
    result[-1, -1] = information - 2 * dim * own  # (x^2 - 1) / sqrt(2) has a mean of 0, x^2 of 1
    return result


class Critics(keras.Model):
    """Bilinear scores `u(x)^T W u(y)`, `u(x) = [x, (x^2 - 1) / sqrt(2), 1]`, one W a correlation.

    That is as wide as it must be for the best scores to be among them.
    """

    def __init__(self, objective, informations, dim):
        super().__init__()
        self.objective = objective
        self.correlations = np.array([correlation(i, dim) for i in informations], "float32")
        # Variables of their own, so that clipping the gradient of one leaves the others alone.
        shape = (2 * dim + 1, 2 * dim + 1)
        self.maps = [self.add_weight(shape=shape, initializer="zeros") for _ in informations]
        self.built = True

    def call(self, draws):
        """Make scores of normal draws: `[b, 2, n, dim]` -> `[b, correlations, n, n]`."""
        x, noise = draws[:, :1], draws[:, 1:]
        rho = self.correlations[:, None, None]
        y = rho * x + np.sqrt(1 - rho**2) * noise
        maps = ops.stack([m.value for m in self.maps])
        left = ops.einsum("bif,mfg->bmig", _features(x)[:, 0], maps)
        return ops.matmul(left, ops.transpose(_features(y), (0, 1, 3, 2)))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Sum what each correlation's scores lose; none depends on another's map."""
        return -ops.mean(ops.sum(self.objective(y_pred), axis=1))


def _features(x):
    return ops.concatenate([x, (x * x - 1) / math.sqrt(2), ops.ones_like(x[..., :1])], axis=-1)


def _draws(rng, count, settings):
    shape = (count, 2, settings["num_pairs"], settings["dim"])
    return rng.standard_normal(shape, dtype="float32")


def measure(settings: dict) -> dict:
    """Train and evaluate everything; mean, two standard errors and deviation of a batch."""
    informations, dim = settings["informations"], settings["dim"]
    results = {
        "settings": settings,
        "log_n": math.log(settings["num_pairs"]),
        "two_true_standard_errors_of_nwj": [true_error(i, settings) for i in informations],
    }
    for critic in CRITICS:
        results[critic] = {}
        for name, (objective, reading, short, *_) in ESTIMATORS.items():
            model = Critics(objective, informations, dim)
            if critic == "optimal":
                maps = [best_map(i, dim) for i in informations]
                for m in maps:
                    m[-1, -1] += short
                model.set_weights(maps)
            else:
                train(model, settings)
            results[critic][name] = evaluate(model, reading, settings)
            print(critic, name, [round(row["mean"], 2) for row in results[critic][name]])
    return results


def true_error(information: float, settings: dict) -> float:
    """Twice the standard error of NWJ's second mean at the best scores, in closed form.

    There exp(f - 1) is the ratio of densities, of mean 1 and mean square exp(2 * information) over
    the product; scores that share one partner are uncorrelated. The rare large values that make it
    so are missing from most samples, whose own standard error is then far too small.
    """
    num_scores = settings["num_pairs"] * (settings["num_pairs"] - 1) * settings["num_batches"]
    return 2 * math.sqrt((math.exp(2 * information) - 1) / num_scores)


def train(model: Critics, settings: dict) -> None:
    """Adam on fresh pairs, with a rate that falls to nothing."""
    steps = settings["num_steps"]
    rate = keras.optimizers.schedules.CosineDecay(settings["learning_rate"], steps)
    model.compile(
        optimizer=keras.optimizers.Adam(rate, clipnorm=1.0),
        steps_per_execution=min(100, steps),
        jit_compile=False,
    )
    draws = _draws(np.random.default_rng(settings["seed"]), steps, settings)
    model.fit(draws, batch_size=1, shuffle=False, verbose=0)


def evaluate(model: Critics, reading, settings: dict) -> list[dict]:
    """What is read off fresh batches, one row a correlation; the same batches for every model."""
    rng = np.random.default_rng(settings["seed"] + 1)
    chunk = 25
    values = [
        ops.convert_to_numpy(reading(model(_draws(rng, chunk, settings))))
        for _ in range(settings["num_batches"] // chunk)
    ]
    values = np.concatenate(values).astype("float64")
    return [
        {
            "information": information,
            "mean": float(np.mean(of_one)),
            "two_standard_errors": float(2 * np.std(of_one, ddof=1) / math.sqrt(len(of_one))),
            "deviation_of_a_batch": float(np.std(of_one, ddof=1)),
        }
        for information, of_one in zip(settings["informations"], values.T, strict=True)
    ]


def table(results: dict) -> str:
    """The numbers in Markdown."""
    informations = results["settings"]["informations"]
    lines = [
        "| mean ± 2 s.e., nats; truth: | " + " | ".join(f"{i:g}" for i in informations) + " |",
        "| --- |" + " --- |" * len(informations),
    ]
    for critic in CRITICS:
        for name, (*_, title, _) in ESTIMATORS.items():
            cells = [
                f"{row['mean']:.2f} ± {row['two_standard_errors']:.2f}"
                for row in results[critic][name]
            ]
            lines.append(f"| {title}; {critic} scores | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(results: dict, path: pathlib.Path) -> None:
    """Each estimator against the truth, and how far a single batch may be off."""
    from matplotlib.figure import Figure

    informations, log_n = results["settings"]["informations"], results["log_n"]
    num_pairs = results["settings"]["num_pairs"]
    figure = Figure(figsize=(15, 5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    middle.sharey(left)
    ends = np.array([0, max(informations) + 1])
    for axes, critic in ((left, "optimal"), (middle, "trained")):
        axes.plot(ends, ends, color="black", linewidth=1, label="truth")
        axes.axhline(log_n, color="grey", linestyle="--", label=f"ln N, N = {num_pairs}")
        for shift, (name, (*_, title, color)) in enumerate(ESTIMATORS.items()):
            rows = results[critic][name]
            axes.errorbar(
                # Side by side, so that no bar hides another.
                [row["information"] + 0.05 * (shift - 1.5) for row in rows],
                [row["mean"] for row in rows],
                yerr=[row["two_standard_errors"] for row in rows],
                color=color,
                marker="osD^"[shift],
                markersize=5,
                linewidth=1.2,
                capsize=3,
                label=title,
            )
        below = [
            f"{title} at {row['information']:g}: {row['mean']:.0f}"
            for name, (*_, title, _) in ESTIMATORS.items()
            for row in results[critic][name]
            if row["mean"] < 0
        ]
        if below:
            text = "below the axis:\n" + "\n".join(below)
            axes.annotate(
                text,
                (0.97, 0.03),
                xycoords="axes fraction",
                ha="right",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8},
            )
        axes.set(
            title=CRITICS[critic],
            xlabel="true mutual information (nats)",
            ylabel="estimate ± 2 standard errors (nats)",
            ylim=(0, max(informations) + 3),
        )
        axes.legend(loc="upper left", fontsize=9)
    for critic, style in (("optimal", "-"), ("trained", ":")):
        for shift, (name, (*_, title, color)) in enumerate(ESTIMATORS.items()):
            deviations = [row["deviation_of_a_batch"] for row in results[critic][name]]
            label = title if critic == "optimal" else None
            right.plot(
                informations,
                deviations,
                style,
                color=color,
                marker="osD^"[shift],
                markersize=5,
                label=label,
            )
    right.plot([], [], "-", color="black", label="best scores")
    right.plot([], [], ":", color="black", label="trained scores")
    right.set(
        title=f"how far one batch of {num_pairs} pairs is off",
        xlabel="true mutual information (nats)",
        ylabel="standard deviation over batches (nats)",
        yscale="log",
    )
    right.legend(loc="upper left", fontsize=9)
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
        axes.set_xlim(0, max(informations) + 1)
    figure.savefig(path, dpi=100)


def write_table(results: dict, page: pathlib.Path) -> None:
    """Put the numbers in their place on the page."""
    start, end = MARKS
    before, rest = page.read_text(encoding="utf-8").split(start)
    _, after = rest.split(end)
    middle = f"{start}\n\n{table(results)}\n\n{end}"
    page.write_text(before + middle + after, encoding="utf-8")


def main() -> None:
    """Measure, unless only the figure and the table are to be made again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draw-only", action="store_true", help="from the results that are there")
    if not parser.parse_args().draw_only:
        results = measure(
            {
                "informations": [1, 2, 4, 6, 8, 10],
                "dim": 20,
                "num_pairs": 128,
                "num_batches": 2000,
                "num_steps": 2000,
                "learning_rate": 0.01,
                "seed": 0,
            }
        )
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(RESULTS.read_text())
    draw(results, FIGURE)
    write_table(results, PAGE)


if __name__ == "__main__":
    main()
