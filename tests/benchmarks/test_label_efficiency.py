"""What docs/label_efficiency.md tells: the claims, and that the page holds what is kept."""

import json

import pytest

from benchmarks import label_efficiency

KEPT = label_efficiency.results()


def cell(row, fraction, accuracy):
    spread = {"draw_deviation": 0.01, "seed_deviation": 0.01}
    by = {"by_seed": [accuracy] * 3, "by_draw": [accuracy] * 2}
    labels = {"num_labels": round(1000 * fraction)}
    return {"row": row, "fraction": fraction, "accuracy": accuracy, **labels, **spread, **by}


@pytest.fixture
def result():
    measured = {
        "cpc_fine_tuned": (0.60, 0.80, 0.90),
        "cpc_frozen": (0.65, 0.75, 0.78),
        "supervised": (0.42, 0.70, 0.80),
        "cnn": (0.50, 0.72, 0.95),
        "random_frozen": (0.70, 0.71, 0.72),
    }
    shares = (0.01, 0.2, 1.0)
    summary = [
        cell(row, share, accuracy)
        for row, accuracies in measured.items()
        for share, accuracy in zip(shares, accuracies, strict=True)
    ]
    return {"summary": summary, "verdict": "A verdict.", "protocol": "A protocol."}


def test_claims_take_the_better_row_of_each_side(result):
    assert label_efficiency.claim(result["summary"]) == {
        "labels": 10,
        "cpc": 0.65,
        "same": 0.42,
        "scratch": 0.50,
        "same_all": 0.80,
        "scratch_all": 0.95,
        "share_same": 0.2,
        "share_scratch": None,
    }
    table = label_efficiency.claims_table({"made_up": result})
    assert "| 65.0 | 42.0 | +23.0 | +15.0 | 80.0: with 20% | 95.0: not reached |" in table


def test_a_page_gets_tables_and_pictures_and_keeps_what_else_it_says(result, tmp_path):
    (tmp_path / "images").mkdir()
    page, end = tmp_path / "page.md", label_efficiency.END
    marks = [label_efficiency.MARK.format(name) for name in ("claims", "made_up")]
    page.write_text(f"# Before\n{marks[0]}\n{end}\nbetween\n{marks[1]}\nold\n{end}\nafter\n")
    for _ in range(2):
        label_efficiency.write({"made_up": result}, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("A verdict.") == 1 and "\nbetween\n" in text
    assert (tmp_path / "images" / "made_up_label_efficiency.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="no place for other"):
        label_efficiency.write({"other": result}, page)


def protocols_of_two_seeds():
    return [
        {"protocol": protocol, "num_labels": 500, "top_1": top_1 + seed / 50, "top_5": 0.9}
        for seed in (0, 1)
        for protocol, top_1 in (("linear_probe", 0.7), ("nearest_neighbors", 0.6))
    ]


def test_probes_alone_are_no_claim_and_tell_all_labels_and_the_iteration_curve(result):
    probes = [cell for cell in result["summary"] if cell["row"].endswith("frozen")]
    curves = [
        [{"epoch": 0, "accuracy": 0.3}, {"epoch": 10, "accuracy": last}] for last in (0.5, 0.7)
    ]
    more = {"protocols": protocols_of_two_seeds(), "iteration_curves": curves}
    told = label_efficiency.section("probes", {**result, "summary": probes, **more})
    assert "| with all 500 labels | top-1 in % | top-5 |" in told
    assert "| CPC, frozen + linear probe | 71.0 ± 1.4 | 90.0 ± 0.0 |" in told
    assert "| epochs of pre-training | 0 | 10 |" in told
    assert "| nearest neighbors, top-1 in % | 30.0 ± 0.0 | 60.0 ± 14.1 |" in told
    assert "![" not in told
    claims = label_efficiency.claims_table({"whole": result, "probes": {"summary": probes}})
    assert "whole (" in claims and "probes (" not in claims


def test_results_are_taken_over(result, tmp_path, monkeypatch):
    monkeypatch.setattr(label_efficiency, "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results.json").write_text(json.dumps(result))
    label_efficiency.take(tmp_path, "made_up")
    assert label_efficiency.results() == {"made_up": result}


@pytest.mark.parametrize("name", KEPT)
def test_the_page_tells_what_is_kept(name):
    text = label_efficiency.PAGE.read_text(encoding="utf-8")
    kept = label_efficiency.HERE / "results" / f"{name}{label_efficiency.ENDING}.json"
    assert label_efficiency.section(name, json.loads(kept.read_text())) in text
    assert label_efficiency.claims_table(KEPT) in text
    if label_efficiency.has_networks(KEPT[name]):
        picture = label_efficiency.PAGE.parent / "images" / f"{name}{label_efficiency.ENDING}.png"
        assert picture.exists()
