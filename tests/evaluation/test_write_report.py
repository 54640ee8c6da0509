"""write_report."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from cpc_keras.evaluation import summarize, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    rng = np.random.default_rng(0)
    results = [
        {
            "row": row,
            "fraction": fraction,
            "num_labels": int(4000 * fraction),
            "seed": seed,
            "draw": draw,
            "accuracy": float(rng.uniform(0.4, 0.9)),
        }
        for row in ("cpc_fine_tuned", "cpc_frozen", "supervised", "cnn")
        for fraction in (0.01, 0.1, 1.0)
        for seed in range(2)
        for draw in range(3 if fraction < 1 else 1)
    ]

    def item(label):
        return {"image": rng.integers(0, 256, (28, 28, 1), "uint8"), "label": label}

    return write_report(
        tmp_path_factory.mktemp("report") / "new" / "report.html",
        title="A <title> & more",
        summary=summarize(results),
        protocol="How it was measured.",
        facts={"command": "cpc-keras demo"},
        history=[
            {"epoch": e, "loss": 4 - e / 10, "mutual_information": e / 10}
            | {"val_loss": 4 - e / 11, "val_mutual_information": e / 11}
            for e in range(1, 6)
        ],
        neighbors=[{**item("3"), "neighbors": [item("3"), item("8")]}],
    )


def test_the_page_needs_nothing_from_outside(report):
    page = report.read_text()
    sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    assert all(source.startswith("data:") for source in sources)
    assert "<script" not in page


def test_the_page_holds_table_curves_neighbours_and_facts(report):
    page = report.read_text()
    assert "A &lt;title&gt; &amp; more" in page
    assert page.count("<svg") == 2
    assert page.count("data:image/png") == 3
    assert page.count('class="wrong"') == 1
    for text in ("CPC, fine-tuned", "1 % (40)", "100 % (4000)", "cpc-keras demo"):
        assert text in page
    assert "± " in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_the_page_without_errors(report, tmp_path, width):
    picture = tmp_path / "report.png"
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    run = subprocess.run(
        [CHROMIUM, *flags.split(), "--disable-background-networking", "--disable-component-update"]
        + ["--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"]
        + [f"--window-size={width},1200", f"--screenshot={picture}", report.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert picture.stat().st_size > 10_000
    assert "CONSOLE" not in run.stderr
