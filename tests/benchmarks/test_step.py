"""The benchmark of a step: its shape, and that the page says what was measured."""

import json
import pathlib

import numpy as np
import pytest

from benchmarks import shared_encoding, step, streamed_loss
from cpc_keras.encoders import count_flops

PAGE = (pathlib.Path(step.HERE).parent / "docs" / "speed.md").read_text(encoding="utf-8")


def test_the_shape_is_the_one_that_figures_are_compared_over():
    model = step.build(candidates="all")
    assert model.grid == (7, 7) and len(model.terms) == 12
    assert count_flops(model.patch_encoder) == pytest.approx(10e6, rel=0.1)
    assert model.patch_encoder.output_shape == (None, 256)


@pytest.mark.slow
def test_the_loss_alone_is_the_same_in_both_forms():
    dense, streamed = (streamed_loss._step(form, 3)() for form in streamed_loss.FORMS)
    assert len(dense) == len(streamed) == 2 + 12
    for a, b in zip(dense, streamed, strict=True):
        assert abs(a - b).numpy().max() <= 1e-5 * abs(a).numpy().max()


def test_the_page_tells_what_the_files_hold():
    floors = json.loads(step.RESULTS.read_text())["in floors"]
    for text, name in (
        ("511 sampled negatives", "fit step, 512 anchors"),
        ("67 million scores", "+ input"),
        ("both gradients", "bare convolutions"),
    ):
        (line,) = [line for line in PAGE.splitlines() if text in line and line.startswith("|")]
        assert f"| {floors[name]:.2f} |" in line
    loss = json.loads(streamed_loss.RESULTS.read_text())
    assert f"| time | 1 | {loss['time, streamed to dense']:.2f} |" in PAGE
    peaks = [f"{loss['peak_bytes'][form] / 2**20:.0f} MiB" for form in ("dense", "streamed")]
    assert f"| {' | '.join(peaks)} |" in PAGE


def test_the_page_tells_which_encoding_learned_better():
    found = json.loads(shared_encoding.RESULTS.read_text())["learning"]
    for side in shared_encoding.SIDES:
        runs = [run for name, run in found.items() if name.startswith(f"{side}, seed")]
        accuracies = [100 * run["accuracy"] for run in runs]
        spread = f" ± {np.std(accuracies, ddof=1):.1f}" if len(runs) > 1 else ""
        row = f"| {side} | {runs[0]['steps']} | {len(runs)} | {np.mean(accuracies):.1f}{spread} |"
        assert row in PAGE
