"""CPC on 8 to 4,096 GPUs, on paper: `python -m benchmarks.scale_sim`.

Nothing here ran on a GPU. Time and network load of a step are computed from

- what a step is made of (`models.describe`: operations, weights, predictions, codes),
- what was measured on processors (results/step.json, results/peers.json): what a step takes beside
  its encoder, and how fast scores are computed compared with the encoder,
- the published rate of one GPU and its links, and what rings of them take (`gpu_cluster`).

What more candidates are worth is `seen_information`. Results: benchmarks/results/scale_sim.json,
docs/images/scale.png and the tables of docs/scale.md; `--report` computes them anew for the models
in the file, as after a new measurement. To describe them, models of 32 and 319 million weights are
built: a minute or two.
"""

import argparse
import functools
import json
import math
import pathlib
from typing import NamedTuple

import numpy as np

from benchmarks.gpu_cluster import FLOAT32, GPU, MEMORY_SHARE, Network, fits, step

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scale_sim.json"
PICTURE = ROOT / "docs" / "images" / "scale.png"
PAGE = ROOT / "docs" / "scale.md"
MARK, END = "<!-- {} of benchmarks/scale_sim.py -->", "<!-- its end -->"

NUM_GPUS = (8, 64, 512, 4096)
# Nats that a context tells of its patch: as measured in docs/cpc_choices.md on CIFAR-10, more, and
# without end, where the bound is ln N.
INFORMATIONS = (0.75, 2.0, 4.0, 8.0, math.inf)
# On a GPU the rate of scores is the least sure of what is carried over.
SLOWER_SCORES = 10
# Choices of `num_negatives` beside all candidates.
NUM_NEGATIVES = tuple(2**k - 1 for k in (10, 12, 14, 16))
PARTS = ("encoder", "scores", "codes", "gradients")


class Data(NamedTuple):
    """Images to learn from.

    Attributes:
        num_images: how many there are.
        num_passes: epochs.
        largest_batch: images a step, of all GPUs, beyond which nobody has shown that it learns.
    """

    num_images: int
    num_passes: int
    largest_batch: int


# 140 epochs: 350 thousand steps of 512 images (arXiv:1905.09272). Batches: SimCLR compares up to
# 8,192 on ImageNet (arXiv:2002.05709, section 2.2); CLIP trains by 32,768 on 400 million pairs
# (arXiv:2103.00020, section 2.5).
DATA = {
    "ImageNet": Data(1_281_167, 140, 8192),
    "a billion images": Data(10**9, 1, 32_768),
}
SMALLEST_BATCH = 512  # the paper's
# 147.9 GB, the archive of ImageNet's training images, by their number.
IMAGE_BYTES = 147_897_477_120 / 1_281_167


def main() -> None:
    """Describe, compute, save, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    parser.add_argument("--picture", type=pathlib.Path, default=PICTURE)
    parser.add_argument("--page", type=pathlib.Path, default=PAGE)
    parser.add_argument("--report", action="store_true", help="describe no model anew")
    arguments = parser.parse_args()
    if arguments.report:
        networks = json.loads(arguments.out.read_text())["networks"]
    else:
        networks = {name: x._asdict() for name, x in described().items()}
    found = json.loads(json.dumps(simulate(networks, measured())))
    arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    draw(found, arguments.picture)
    write_tables(found, arguments.page)


def described() -> dict[str, Network]:
    """The models: CPC v2 as in the recipe, and with the ResNet-50 of its paper's later versions."""
    from cpc_keras.encoders import named_resnet
    from cpc_keras.methods import cpc_v2
    from cpc_keras.training import RECIPES

    side = RECIPES["cpc_v2_imagenet"].crop_size
    small = named_resnet("resnet50", (80, 80, 3), num_stages=4)
    return {
        "ResNet-161": network_of(cpc_v2((side, side, 3))),
        "ResNet-50": network_of(cpc_v2((side, side, 3), patch_encoder=small)),
    }


def network_of(model) -> Network:
    """Take from `models.describe` what counts here, trained by Adam with averaged weights."""
    from cpc_keras.models import describe

    told = describe(model, batch_size=1, optimizer_slots=3)
    scores = list(told.scores.values())
    return Network(
        image_flops=sum(told.image_flops.values()),
        weights=told.memory["gradients"] // FLOAT32,
        state_bytes=sum(told.memory[part] for part in ("weights", "gradients", "optimizer")),
        # `describe` counts float32.
        activation_bytes=told.memory["activations"] / 2,
        codes=scores[0].num_candidates,
        predictions=sum(x.num_predictions for x in scores),
        dim=scores[0].dim,
    )


def measured() -> dict:
    """What our own measurements say of a step, as ratios, which alone carry over to a GPU."""
    step = json.loads((ROOT / "benchmarks/results/step.json").read_text())
    counts = json.loads((ROOT / "benchmarks/results/peers.json").read_text())["counts"]["cpc_keras"]
    seconds = step["seconds"]
    floor_rate = step["gflops"]["of a step, encoder and heads"] / seconds["floor"]
    score_gflop = 3 * 2 * counts["scores"] * counts["length"] / 1e9
    loss = seconds["+ loss"] - seconds["+ augmentation"]
    return {
        # A step without its loss, in forward and backward passes of encoder and context.
        "step to encoder": round(step["in floors"]["+ augmentation"], 3),
        # Operations a second of scores, in those of encoder and context.
        "scores to encoder": round(score_gflop / loss / floor_rate, 3),
    }


@functools.cache
def pointwise(information: float, dim: int = 20, num_draws: int = 20_000) -> np.ndarray:
    """Draws of ln p(x, y) / (p(x) p(y)) of the Gaussians of benchmarks/mutual_information.py.

    Args:
        information: its mean, in nats.
        dim: of the Gaussians.
        num_draws: how many.
    """
    squared = 1 - math.exp(-2 * information / dim)
    rho = math.sqrt(squared)
    x, noise = np.random.default_rng(0).normal(size=(2, num_draws, dim))
    y = rho * x + math.sqrt(1 - squared) * noise
    exponent = squared * (x**2 + y**2) - 2 * rho * x * y
    drawn = information - exponent.sum(axis=1) / (2 * (1 - squared))
    # The mean is known: less of the draws' luck is left.
    return drawn + information - drawn.mean()


@functools.cache
def seen_information(information: float, num_candidates: int) -> float:
    """Nats that the best scores see of an information with so many candidates.

    `-E ln(1 / N + (1 - 1 / N) exp(-i))`, i being the pointwise information of a pair: InfoNCE's
    bound `ln N - loss` with the mean over negatives put at its expectation, 1, which by Jensen's
    inequality is at most the bound itself. Measured in results/mutual_information.json for N = 128
    (tests/benchmarks/test_scale_sim.py compares). Of an endless information ln N is seen.

    Args:
        information: nats; `math.inf` for one without end.
        num_candidates: N.
    """
    if math.isinf(information):
        return math.log(num_candidates)
    share = 1 / num_candidates
    return float(-np.log(share + (1 - share) * np.exp(-pointwise(information))).mean())


SETTINGS = {
    "all": {},
    **{f"{k + 1:,} sampled": {"num_negatives": k} for k in NUM_NEGATIVES},
    "own GPU": {"gathered_from": 1},
}


def pace(network, num_gpus, per_gpu, ratios, information, **setting) -> float:
    """Nats seen by a prediction for each second of a step: what a setting is judged by."""
    told = step(network, num_gpus, per_gpu, ratios, **setting)
    return seen_information(information, told["candidates"]) / sum(told["seconds"].values())


def best(network, num_gpus, per_gpu, ratios, information) -> dict:
    """The setting that sees most a second, and from how many GPUs candidates would be best."""

    def of(setting):
        return pace(network, num_gpus, per_gpu, ratios, information, **setting)

    groups = [2**k for k in range(int(math.log2(num_gpus)) + 1)]
    everything, alone = of({}), of({"gathered_from": 1})
    return {
        "setting": max(SETTINGS, key=lambda name: of(SETTINGS[name])),
        "gathered_from": max(groups, key=lambda group: of({"gathered_from": group})),
        "all to own GPU": round(everything / alone, 4),
    }


def advised(network, num_gpus, per_gpu, ratios) -> dict:
    """The setting that loses least where it loses most, when the information is not known.

    Returns:
        `setting`, and `share`, the least share over `INFORMATIONS` of the best setting's pace.
    """
    paces = np.array(
        [
            [pace(network, num_gpus, per_gpu, ratios, i, **setting) for i in INFORMATIONS]
            for setting in SETTINGS.values()
        ]
    )
    shares = (paces / paces.max(axis=0)).min(axis=1)
    return {"setting": list(SETTINGS)[shares.argmax()], "share": round(float(shares.max()), 4)}


def simulate(networks: dict[str, dict], ratios: dict) -> dict:
    """Compute every model, data set and number of GPUs; and batches that grow without end.

    Args:
        networks: fields of `Network`, by name.
        ratios: see `measured`.
    """
    found = {
        "assumed": {
            **json.loads(json.dumps(GPU._asdict())),
            "memory_share": MEMORY_SHARE,
            "image_bytes": round(IMAGE_BYTES),
            "data": {name: data._asdict() for name, data in DATA.items()},
        },
        "measured": ratios,
        "networks": networks,
        "cells": [],
        "growing": [],
        "enough": [],
    }
    for name, fields in networks.items():
        network = Network(**fields)
        for data_name, data in DATA.items():
            for num_gpus in NUM_GPUS:
                wanted = max(SMALLEST_BATCH, num_gpus * fits(network))
                batch = min(data.largest_batch, wanted)
                cell = _cell(network, num_gpus, batch // num_gpus, ratios)
                steps = data.num_passes * data.num_images / batch
                seconds = sum(cell["seconds"].values())
                found["cells"].append(
                    {
                        "network": name,
                        "data": data_name,
                        **cell,
                        "steps": round(steps),
                        "days": round(steps * seconds / 86_400, 4),
                        "images_a_second": round(batch / seconds),
                        "read_bytes": round(batch / num_gpus * IMAGE_BYTES),
                    }
                )
        for power in range(3, 13):
            cell = _cell(network, 2**power, fits(network), ratios)
            found["growing"].append({"network": name, **cell})
    for times in (1, SLOWER_SCORES):
        slower = {**ratios, "scores to encoder": ratios["scores to encoder"] / times}
        for name, fields in networks.items():
            network = Network(**fields)
            per_gpu = fits(network)
            groups = {
                str(i): best(network, NUM_GPUS[-1], per_gpu, slower, i)["gathered_from"]
                for i in INFORMATIONS
            }
            candidates = {i: group * per_gpu * network.codes for i, group in groups.items()}
            found["enough"].append({"network": name, "slower": times, "candidates": candidates})
    return found


def _cell(network, num_gpus, per_gpu, ratios):
    told = step(network, num_gpus, per_gpu, ratios)
    return {
        "gpus": num_gpus,
        "batch": num_gpus * per_gpu,
        "per_gpu": per_gpu,
        "chunk_size": fits(network) if per_gpu > fits(network) else None,
        "candidates": told["candidates"],
        "seconds": {k: float(f"{v:.4g}") for k, v in told["seconds"].items()},
        "network_bytes": {k: round(v) for k, v in told["network_bytes"].items()},
        "best": {
            str(information): best(network, num_gpus, per_gpu, ratios, information)
            for information in INFORMATIONS
        },
        "advised": advised(network, num_gpus, per_gpu, ratios),
    }


def step_table(found: dict) -> str:
    """The table of steps, in Markdown."""
    lines = [
        "| encoder, images | GPUs | batch, a GPU | N | encoder | scores | codes | gradients "
        "| step, ms | sent a GPU and step, MB | steps | days |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in found["cells"]:
        seconds, sent = cell["seconds"], cell["network_bytes"]
        chunks = f" in {cell['per_gpu'] // cell['chunk_size']} chunks" if cell["chunk_size"] else ""
        days = cell["days"]
        lines.append(
            f"| {cell['network']}, {cell['data']} | {cell['gpus']:,} | {cell['batch']:,}, "
            f"{cell['per_gpu']}{chunks} | {cell['candidates']:,} | "
            + " | ".join(f"{1000 * seconds[part]:,.1f}" for part in PARTS)
            + f" | {1000 * sum(seconds.values()):,.1f} | {sum(sent.values()) / 1e6:,.0f} | "
            f"{cell['steps']:,} | {days:,.{1 if days >= 1 else 2}f} |"
        )
    return "\n".join(lines)


def advice_table(found: dict) -> str:
    """The setting that sees most a second, for each information, in Markdown."""
    shown = [f"{told_information(i)}" for i in INFORMATIONS]
    lines = [
        f"| encoder, images | GPUs | {' | '.join(shown)} | not known |",
        "|---|---|" + "---|" * (len(shown) + 1),
    ]
    for cell in found["cells"]:
        told = [
            f"{x['setting']} ({x['gathered_from']:,}; {x['all to own GPU']:.2f})"
            for x in cell["best"].values()
        ]
        told.append(f"**{cell['advised']['setting']}** ({cell['advised']['share']:.2f})")
        name = f"{cell['network']}, {cell['data']}"
        lines.append(f"| {name} | {cell['gpus']:,} | {' | '.join(told)} |")
    return "\n".join(lines)


def enough_table(found: dict) -> str:
    """From how many candidates on more do not pay, in Markdown."""
    shown = [told_information(i) for i in INFORMATIONS]
    lines = [f"| encoder, rate of scores | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for entry in found["enough"]:
        rate = "as measured" if entry["slower"] == 1 else f"{entry['slower']} times slower"
        numbers = " | ".join(f"{n:,}" for n in entry["candidates"].values())
        lines.append(f"| {entry['network']}, {rate} | {numbers} |")
    return "\n".join(lines)


def told_information(information: float) -> str:
    """An information as the tables name it."""
    return "without end" if math.isinf(information) else f"{information:g} nats"


TABLES = {"steps": step_table, "advice": advice_table, "enough": enough_table}


def write_tables(found: dict, page: pathlib.Path) -> None:
    """Put the tables between their marks in a page."""
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        before, rest = text.split(MARK.format(name))
        _, after = rest.split(END, 1)
        text = f"{before}{MARK.format(name)}\n\n{table(found)}\n\n{END}{after}"
    page.write_text(text, encoding="utf-8")


def draw(found: dict, path: pathlib.Path) -> None:
    """Draw what a step takes as batch and machines grow, and from how many GPUs to gather."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(found["networks"])
    figure, panels = plt.subplots(
        2, len(names), figsize=(9.5, 6.8), layout="constrained", squeeze=False
    )
    for name, (above, below) in zip(names, panels.T, strict=True):
        cells = [cell for cell in found["growing"] if cell["network"] == name]
        x = [cell["gpus"] for cell in cells]
        for part in PARTS:
            y = [1000 * cell["seconds"][part] for cell in cells]
            above.plot(x, y, "o-", markersize=3, label=part)
        above.set_title(f"{name}, {cells[0]['per_gpu']} images a GPU")
        above.set_ylabel("milliseconds of a step")
        above.legend(fontsize=8)
        below.plot(x, x, color="0.8", linewidth=5, label="all there are", zorder=0)
        for information in INFORMATIONS:
            y = [cell["best"][str(information)]["gathered_from"] for cell in cells]
            below.plot(x, y, "o-", markersize=3, label=told_information(information))
        below.set_ylabel("gather from so many GPUs")
        below.set_yscale("log", base=2)
        below.legend(fontsize=8, title="information", title_fontsize=8)
        for panel in (above, below):
            panel.set_xscale("log", base=2)
            panel.set_xticks(x, [f"{n:,}" for n in x], fontsize=8)
            panel.set_xlabel("GPUs")
            panel.grid(alpha=0.3)
        above.set_yscale("log")
        below.set_yticks(x[::3] + [1], [f"{n:,}" for n in x[::3] + [1]])
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
