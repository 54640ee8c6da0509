"""write_report, as text and in a browser."""

import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from cpc_keras.evaluation import RunEvidence, summarize, write_report

spec = importlib.util.spec_from_file_location(
    "headless_browser", Path(__file__).with_name("headless_browser.py")
)
headless_browser = importlib.util.module_from_spec(spec)
spec.loader.exec_module(headless_browser)

WIDTHS, SCHEMES = (400, 1400), ("light", "dark")
ROWS = ("cpc_fine_tuned", "cpc_frozen", "supervised", "random_frozen", "raw_pixels", "cnn")


def results(rng, *, ahead=0.1, seeds=3):
    """Made-up measurements: the rows of CPC are ahead by so much."""
    found = [
        {
            "row": row,
            "fraction": fraction,
            "num_labels": int(4000 * fraction),
            "seed": seed,
            "draw": draw,
            "accuracy": float(
                0.55 + 0.15 * np.log10(100 * fraction) + rng.uniform(0, 0.02)
                + ahead * row.startswith("cpc_")
            ),
            "metrics": {"balanced_accuracy": 0.625, "auroc": None},
        }
        for row in ROWS
        for fraction in (0.01, 0.05, 0.1, 1.0)
        for seed in range(seeds)
        for draw in range(3 if fraction < 1 else 1)
    ]  # fmt: skip
    return {
        "summary": summarize(found),
        "protocol": "How it was measured.",
        "num_seeds": seeds,
        "settings": {"data": "mnist_5k", "steps": [1, 2]},
        "facts": {"command": "cpc-keras evaluate 'runs/a b' --data mnist_5k", "data": "some"},
        "confusion_of": "the frozen row",
        "protocols": [
            {"protocol": "nearest_neighbors", "seed": 0, "top_1": 0.753, "auroc": 0.91}
            | {"balanced_accuracy": 0.74, "intervals": {"top_1": [0.71, 0.79]}}
        ],
    }


def pictures(rng, *, channels=3, side=64, num_classes=10, num_mapped=300):
    """Noise, which compresses worst, as large as `run_pictures` makes it."""

    def images(*shape, size=side):
        return rng.integers(0, 256, (*shape, size, size, channels), "uint8")

    labels = rng.integers(0, num_classes, num_mapped)
    return {
        "class_names": np.array([f"class {i}" for i in range(num_classes)]),
        "confusion": rng.integers(0, 30, (num_classes, num_classes)),
        "query_images": images(8),
        "query_labels": np.arange(8) % num_classes,
        "near_images": images(8, 5),
        "near_labels": np.tile([0, 1, 2, 3, 4], (8, 1)) % num_classes,
        "map_points": rng.uniform(size=(num_mapped, 2)).astype("float32"),
        "map_images": images(num_mapped, size=min(side, 32)),
        "map_labels": labels,
        "patch_images": images(6, size=min(96, 2 * side)),
        "patch_side": np.array([0.25, 0.25]),
        "patch_step": np.array([0.125, 0.125]),
        "patch_context": np.full((6, 2), 2),
        "patch_target": np.full((6, 2), 4),
        "patch_direction": np.array(["down", "up", "left", "right", "down", "up"]),
        "patch_offset": np.full(6, 2),
        "patch_rank": np.array([1, 2, 3, 40, 5, 6]),
        "patch_true": images(6, size=side // 4),
        "patch_found": images(6, 5, size=side // 4),
        "patch_is_true": np.eye(6, 5, dtype=bool),
        "patch_scores": np.array([3136, 0.25, 0.5]),
    }


def history(epochs=12, first=4.0):
    rows = []
    for epoch in range(1, epochs + 1):
        row = {"epoch": epoch, "loss": first - epoch / 10, "mutual_information": epoch / 10}
        row |= {"val_loss": first - epoch / 11, "val_mutual_information": epoch / 11}
        if epoch % 3 == 0:
            row |= {"knn_accuracy": 0.5 + epoch / 100, "knn_accuracy_untrained": 0.4}
            row |= {"effective_rank": 10.0 + epoch}
        rows.append(row)
    return rows


def evidence(name, *, seed=0, ahead=0.1, seeds=3, **kwargs):
    rng = np.random.default_rng(seed)
    return RunEvidence(
        name=name,
        results=results(rng, ahead=ahead, seeds=seeds),
        histories=[history(first=4.0 + i / 10) for i in range(seeds)],
        iteration_curves=[
            [
                {"epoch": e, "step": 10 * e, "accuracy": top_1, "protocol": "nearest_neighbors"}
                for e in (0, 3, 6, 12)
            ]
            for top_1 in (0.5, 0.6)
        ],
        pictures=pictures(rng, **kwargs),
        facts={"pre-training command": "cpc-keras pretrain --out run"},
        config="method: cpc\nbatch_size: 64\n",
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    return write_report(path, [evidence("first")], title="A <title> & more")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Two runs, the second of which CPC does not win, with many classes and grey images."""
    second = evidence("second, with a long name", seed=1, ahead=-0.1, seeds=1, num_classes=30)
    path = tmp_path_factory.mktemp("comparison") / "report.html"
    return write_report(path, [evidence("first"), second], title="Two runs")


def text_of(page):
    body = page[page.index("<body>") :]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_the_page_needs_nothing_from_outside_and_is_small(report, comparison):
    for path in (report, comparison):
        page = path.read_text()
        sources = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
        assert all(source.startswith("data:") for source in sources)
        assert not re.search(r"<script|@import|url\((?!#)", page)
        assert path.stat().st_size <= 5_000_000


def test_the_page_holds_every_part(report):
    page = report.read_text()
    assert "A &lt;title&gt; &amp; more" in page
    text = text_of(page)
    for heading in (
        "Accuracy against the share of labels",
        "Accuracy against pre-training",
        "Pre-training",
        "What is taken for what",
        "Map of the features",
        "Nearest training images",
        "Which patches it thinks come next",
        "How this was made",
    ):
        assert heading in text, heading
    for said in (
        "With 1 % of the labels (40), CPC,",
        "is as good as networks trained from scratch on about",
        "label draws (n = 3; all labels are one draw) ± standard deviation over pre-training seeds "
        "(n = 3)",
        "kNN accuracy reached 62.0 % at epoch 12, before training 40.0 %",
        "the frozen row",
        "nearest neighbors, seed 0 75.3 71.0 to 79.0 - 74.0 91.0",
        "Balanced accuracy in %",
        "62.5",
        "Small: 95 % interval",
        "comes first in 25.0 % and among the first five in 50.0 % (chance: 0.032 %",
        "rank 40",
        "cpc-keras evaluate &#39;runs/a b&#39; --data mnist_5k",
        "cpc-keras pretrain --out run",
        "batch_size: 64",
    ):
        assert said in text, said


def test_tables_hold_the_numbers_of_the_summary(report):
    summary = evidence("first").summary
    cell = next(c for c in summary if (c["row"], c["fraction"]) == ("cpc_frozen", 0.05))
    numbers = (cell["accuracy"], cell["draw_deviation"], cell["seed_deviation"])
    low, high = cell["interval"]
    expected = " ± ".join(f"{100 * x:.1f}" for x in numbers)
    expected += f"<br><small>{100 * low:.1f} to {100 * high:.1f}</small>"
    row = re.search(r'<th scope="row">CPC, frozen.*?</tr>', report.read_text(), re.DOTALL)[0]
    assert re.findall(r"<td[^>]*>(.*?)</td>", row)[1] == expected


def test_the_page_says_plainly_where_cpc_does_not_win(comparison):
    text = text_of(comparison.read_text())
    assert "no labels are saved" in text and "no benefit of pre-training is shown here" in text
    assert "one pre-training seed, so how much another would differ is not known" in text


def test_runs_are_compared_in_one_page(comparison):
    page = comparison.read_text()
    text = text_of(page)
    assert "The runs beside each other" in text
    assert re.search(r"With 1 % of the labels, first reaches .* and second, with a long name", text)
    assert "first: CPC, fine-tuned (n = 3)" in text
    assert "second, with a long name: CPC, fine-tuned (n = 1)" in text
    assert page.count('class="map"') == 2 and "taken for" in text
    assert len(set(re.findall(r'\bid="([^"]*)"', page))) == len(re.findall(r'\bid="', page))


def test_the_page_names_methods(tmp_path):
    def page(*methods):
        measured = results(np.random.default_rng(0))
        runs = [RunEvidence(f"of {m}", results=measured, method=m) for m in methods]
        return write_report(tmp_path / "page.html", runs, title="Figures").read_text()

    alone = page("rotation")
    assert "CPC" not in alone and "rotation, frozen + linear probe" in alone
    both = page("rotation", "cpc")
    assert "of rotation: rotation, fine-tuned (n = 3)" in both
    assert "of cpc: CPC, fine-tuned (n = 3)" in both
    assert "pre-trained, frozen + linear probe" in both  # the chart of both


def test_every_picture_has_words_and_headings_have_an_order(report, comparison):
    for path in (report, comparison):
        page = path.read_text()
        assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img [^>]*>", page))
        for svg in re.findall(r"<svg [^>]*>", page):
            named = 'role="img"' in svg and re.search(r'aria-label="[^"]+"', svg)
            assert named or 'aria-hidden="true"' in svg
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
        assert re.search(r'aria-label="Test accuracy over the share of labels[^"]* % at 1 %', page)


def test_a_run_that_was_only_pretrained_is_shown_and_what_is_missing_is_named(tmp_path):
    run = RunEvidence("bare", histories=[history()])
    text = text_of(write_report(tmp_path / "r.html", [run], title="Bare").read_text())
    assert "Not in this report: accuracy with few labels; confusion matrix" in text
    assert "Pre-training" in text and "Nearest training images" not in text


def test_names_that_are_no_utf_8_are_written_all_the_same(tmp_path):
    run = RunEvidence("bare", histories=[history()])
    page = write_report(tmp_path / "r.html", [run], title="M\udcfcller")
    assert "M\\udcfcller" in page.read_text(encoding="utf-8")


def test_the_same_evidence_gives_the_same_file(report, tmp_path):
    again = write_report(tmp_path / "r.html", [evidence("first")], title="A <title> & more")
    assert again.read_bytes() == report.read_bytes()


def test_no_run_and_runs_of_one_name_are_refused(tmp_path):
    for runs in ([], [RunEvidence("a"), RunEvidence("a")]):
        with pytest.raises(ValueError, match="each with a name of its own"):
            write_report(tmp_path / "r.html", runs, title="x")
    assert not (tmp_path / "r.html").exists()


# What a reader with weak sight or no mouse must find, in the words of WCAG 2: the contrast of text
# (1.4.3) and of graphics (1.4.11) with what is behind it.
CONTRASTS = r"""(() => {
  const number = (text) => {
    const box = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    box.fillStyle = text; box.fillRect(0, 0, 1, 1);
    return [...box.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(getComputedStyle(e).backgroundColor);
    return layers.reverse().reduce((under, text) => {
      const [r, g, b, a] = number(text);
      const share = /rgba?\(.*, 0\)|transparent/.test(text) ? 0 : alpha(text);
      return [r, g, b].map((c, i) => share * c + (1 - share) * under[i]);
    }, [255, 255, 255]);
  };
  const alpha = (text) => {
    const found = text.match(/rgba\(.*, ([\d.]+)\)/) || text.match(/\/ ([\d.]+)\)/);
    return found ? Number(found[1]) : 1;
  };
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const worst = { text: 99, textOf: "", graphics: 99, texts: 0, strokes: 0 };
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element);
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    const isSvg = element instanceof SVGElement;
    if (own && !["title", "style"].includes(element.localName)) {
      const value = contrast(number(isSvg ? style.fill : style.color), behind(element));
      worst.texts += 1;
      if (value < worst.text) {
        worst.text = value;
        worst.textOf = element.outerHTML.slice(0, 150);
      }
    }
    const drawn = element.getAttribute("style") || "";
    if (isSvg && /var\(--series/.test(drawn) || /stroke-\d/.test(element.getAttribute("class"))) {
      const color = style.stroke === "none" ? style.fill : style.stroke;
      worst.graphics = Math.min(worst.graphics, contrast(number(color), behind(element)));
      worst.strokes += 1;
    }
  }
  return worst;
})()"""

# What sticks out of the page; parts within a box that scrolls by itself may.
STICKING_OUT = r"""[...document.querySelectorAll("body *")].filter((e) => {
  if (e.closest(".scroll, pre") && !e.matches(".scroll, pre")) return false;
  if (e.ownerSVGElement) return false;
  return e.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
}).map((e) => e.outerHTML.slice(0, 120))"""

# Text of the charts that is cut off at the edge of its chart.
CUT_OFF = r"""[...document.querySelectorAll("figure > svg text")].filter((e) => {
  const [text, chart] = [e.getBoundingClientRect(), e.ownerSVGElement.getBoundingClientRect()];
  return ["right", "bottom"].some((side) => text[side] > chart[side] + 2)
    || ["left", "top"].some((side) => text[side] < chart[side] - 2);
}).map((e) => e.textContent)"""

SMALLEST_TEXT = r"""Math.min(...[...document.querySelectorAll("figure > svg text")].map((e) => {
  const { a, b } = e.getScreenCTM();  // turned text has its scale in b
  return parseFloat(getComputedStyle(e).fontSize) * Math.hypot(a, b);
}))"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if headless_browser.CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    browser = headless_browser.HeadlessBrowser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.mark.parametrize(
    ("which", "width", "scheme"),
    [
        ("report", 400, "light"),
        ("report", 1400, "dark"),
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in itertools.product(["report", "comparison"], WIDTHS, SCHEMES)
            if case not in [("report", 400, "light"), ("report", 1400, "dark")]
        ],
    ],
)
def test_a_browser_shows_the_page_readably_and_without_errors(
    which, width, scheme, browser, request
):
    path = request.getfixturevalue(which)
    asked = browser.open(path.as_uri(), width=width, scheme=scheme)
    assert browser.messages == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.evaluate(CUT_OFF) == []
    assert browser.evaluate(SMALLEST_TEXT) >= 9
    found = browser.evaluate(CONTRASTS)
    assert found["texts"] > 100 and found["strokes"] > 100
    assert found["text"] >= 4.5, found["textOf"]
    assert found["graphics"] >= 3
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 24, 28)"}[scheme]


def test_the_browser_would_tell_of_errors_and_of_what_is_too_wide(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text(
        "<!doctype html><meta name=viewport content='width=device-width'><body>"
        "<p style='width: 900px; color: #999; background: #fff'>wide</p>"
        "<script>console.error('told'); undefined_name</script><img src='missing.png'>"
    )
    browser.open(page.as_uri(), width=400)
    assert "told" in str(browser.messages) and "undefined_name" in str(browser.messages)
    assert browser.evaluate(STICKING_OUT)
    assert browser.evaluate(CONTRASTS)["text"] < 3
