"""The scaling curves: the fit, and that what is published has every point."""

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import scaling


def points(seconds, num_bytes, num_flops):
    """Points of all axes, by functions of what is varied, each of which an axis has alone."""
    return {
        axis: {
            scaling.key_of(scaling.spec_of(axis, x)): {
                "seconds": seconds(x),
                "peak_bytes": num_bytes(x),
                "step_flops": num_flops(x),
            }
            for x in values
        }
        for axis, (_, values, _, _) in scaling.AXES.items()
    }


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5, -0.5])
def test_a_power_is_found_exactly(exponent):
    x = np.array([16, 32, 64, 512])
    fit = scaling.fit_power(x, 3e-4 * x**exponent)
    assert fit["exponent"] == pytest.approx(exponent, abs=1e-9)
    assert fit["factor"] == pytest.approx(3e-4)
    assert fit["error"] == pytest.approx(0, abs=1e-9)


def test_exponent_and_error_are_those_of_a_linear_regression():
    stats = pytest.importorskip("scipy.stats")
    x = np.array([3, 4, 5, 7, 9])
    y = 2 * x**1.5 * np.exp(np.random.default_rng(0).normal(0, 0.1, 5))
    expected = stats.linregress(np.log(x), np.log(y))
    fit = scaling.fit_power(x, y)
    assert fit["exponent"] == pytest.approx(expected.slope)
    assert fit["error"] == pytest.approx(expected.stderr)
    assert fit["factor"] == pytest.approx(np.exp(expected.intercept))


def test_two_points_have_no_error():
    fit = scaling.fit_power([2, 4], [1, 8])
    assert fit["exponent"] == pytest.approx(3) and fit["error"] is None


def test_what_grows_faster_than_its_arithmetic_is_told():
    # Bent, both alike: the exponents have large errors, their difference none.
    found = points(lambda x: x**1.2 + x**2.2, lambda x: x**1.1, lambda x: 10 * (x + x**2))
    for axis, of_axis in found.items():
        told = scaling.summarize(of_axis)[axis]
        assert told["num_points"] == len(of_axis)
        assert told["time"]["beyond arithmetic"] == pytest.approx(0.2, abs=1e-4)
        assert told["time"]["error"] > 1e-3 and told["time"]["error of that"] < 1e-4
        assert told["time"]["faster"] is True and told["memory"]["faster"] is False
    noisy = points(lambda x: x * (1 + 0.3 * (x % 3)), lambda x: x, lambda x: x**0.98)
    assert scaling.summarize(noisy["grid"])["grid"]["time"]["faster"] is False


def test_grids_and_patches_are_those_that_the_axes_name():
    for x in scaling.AXES["grid"][1]:
        spec = scaling.spec_of("grid", x)
        assert (spec["image_size"] - spec["patch_size"]) // 4 + 1 == x
    for x in scaling.AXES["image size"][1]:
        spec = scaling.spec_of("image size", x)
        stride = spec["patch_size"] // 2
        assert spec["image_size"] == x and (x - spec["patch_size"]) / stride + 1 == 7
    assert scaling.spec_of("candidates", 4096)["batch"] * 49 > 4096


def test_every_panel_is_drawn(tmp_path):
    found = {k: v for x in points(float, float, float).values() for k, v in x.items()}
    found[scaling.key_of(scaling.ALL)] = {"seconds": 9.0, "peak_bytes": 9e8, "step_flops": 9e9}
    scaling.draw({"points": found, "axes": scaling.summarize(found)}, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_the_command_measures_and_resumes(tmp_path):
    out = tmp_path / "scaling.json"
    command = [sys.executable, "-m", "benchmarks.scaling", "--quick", "--rounds", "1"]
    command += ["--axes", "grid", "--out", str(out), "--picture", str(tmp_path / "scaling.png")]
    printed = [
        subprocess.run(command, cwd=scaling.ROOT, check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    found = json.loads(out.read_text())
    assert list(found["points"]) == list(scaling.wanted(["grid"], quick=True))
    for key, point in found["points"].items():
        assert min(point["seconds"], point["peak_bytes"], point["step_flops"]) > 0
        assert key in printed[0] and key not in printed[1]
    assert found["axes"]["grid"]["num_points"] == 2
    assert (tmp_path / "scaling.png").exists()


@pytest.mark.skipif(not scaling.RESULTS.exists(), reason="no results are published")
def test_what_is_published_has_every_point_and_its_fits():
    found = json.loads(scaling.RESULTS.read_text())
    wanted = scaling.wanted()
    assert set(found["points"]) == set(wanted)
    for key, spec in wanted.items():
        assert {k: found["points"][key][k] for k in spec} == spec
    assert found["axes"] == scaling.summarize(found["points"])
    assert {k: v["num_points"] for k, v in found["axes"].items()} == {
        axis: len(values) for axis, (_, values, _, _) in scaling.AXES.items()
    }
    page = (scaling.ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    for fits in found["axes"].values():
        time, memory = (
            f"{fits[name]['exponent']:.2f} ± {fits[name]['error']:.2f}"
            for name in ("time", "memory")
        )
        assert f"| {time} | {memory} | {fits['arithmetic']['exponent']:.2f} |" in page
