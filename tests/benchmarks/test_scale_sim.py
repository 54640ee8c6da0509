"""Scale on paper: the rings against rings that pass messages, and the page against the file."""

import json
import math

import numpy as np
import pytest

from benchmarks import gpu_cluster, scale_sim
from benchmarks.gpu_cluster import GPU, Link, Network

LINK = Link(2.0, 8.0)
NETWORK = Network(41e9, 32_000_000, 600_000_000, 330e6, 36, 144, 64)
RATIOS = {"step to encoder": 1.05, "scores to encoder": 0.7}


def pass_on(held, link, *, add, first):
    """Everyone sends a part to the next at once, p - 1 times; returns seconds and bytes sent each.

    Args:
        held: what each device has, `[p, p, n]`: of each part.
        link: between neighbours.
        add: whether what comes is added to what is there, or replaces it.
        first: number of the part that device 0 sends first; device d sends `first + d`.
    """
    p = len(held)
    seconds, sent = 0.0, 0
    for turn in range(p - 1):
        parts = [(first + device - turn) % p for device in range(p)]
        messages = [held[device, part].copy() for device, part in enumerate(parts)]
        for device, (part, message) in enumerate(zip(parts, messages, strict=True)):
            there = (device + 1) % p
            held[there, part] = message + (held[there, part] if add else 0)
        # 8 bytes a number; all links are busy at the same time.
        seconds += link.start + 8 * held.shape[2] / link.bandwidth
        sent += 8 * held.shape[2]
    return seconds, sent


@pytest.mark.parametrize("num_devices", [1, 2, 3, 8])
def test_rings_take_what_rings_that_pass_messages_take(num_devices):
    p = num_devices
    held = np.random.default_rng(0).normal(size=(p, p, 5))
    own, total = held[np.arange(p), np.arange(p)], held.sum(axis=0)
    gathered = held.copy()
    seconds, _ = pass_on(gathered, LINK, add=False, first=0)
    np.testing.assert_array_equal(gathered, np.broadcast_to(own, held.shape))
    assert gpu_cluster.ring_all_gather(8 * 5, p, LINK) == pytest.approx(seconds)
    reduced = held.copy()
    scattered, _ = pass_on(reduced, LINK, add=True, first=0)
    assert gpu_cluster.ring_reduce_scatter(8 * 5 * p, p, LINK) == pytest.approx(scattered)
    # Device d has summed part d + 1 last, and passes it on.
    back, _ = pass_on(reduced, LINK, add=False, first=1)
    np.testing.assert_allclose(reduced, np.broadcast_to(total, held.shape), atol=1e-12)
    assert gpu_cluster.ring_all_reduce(8 * 5 * p, p, LINK) == pytest.approx(scattered + back)


def test_two_levels_take_what_two_rings_of_messages_take_and_send_what_they_send():
    # 3 machines of 2: device [m, g]; a vector of 12 numbers each, 6 parts of 2.
    cluster = GPU._replace(per_machine=2, inside=Link(1.0, 4.0), between=LINK)
    vectors = np.random.default_rng(1).normal(size=(3, 2, 12))
    halves, seconds, sent = np.zeros((3, 2, 6)), 0.0, 0
    for machine in range(3):
        held = vectors[machine].reshape(2, 2, 6).copy()
        inside, _ = pass_on(held, cluster.inside, add=True, first=0)
        halves[machine] = held[[0, 1], [1, 0]]  # GPU g has summed half 1 - g
    seconds += inside
    for place in range(2):
        held = np.stack([halves[machine, place].reshape(3, 2) for machine in range(3)])
        to, bytes_to = pass_on(held, cluster.between, add=True, first=0)
        back, bytes_back = pass_on(held, cluster.between, add=False, first=1)
        expected = vectors.sum(axis=(0, 1)).reshape(2, 6)[1 - place]
        np.testing.assert_allclose(held[0].ravel(), expected)
    seconds += to + back + inside
    sent = bytes_to + bytes_back
    assert gpu_cluster.reduce(8 * 12, 6, cluster) == pytest.approx((seconds, sent))
    # Gathered: 2 turns between machines of 8 bytes, then one of 24 inside.
    expected = 2 * (2.0 + 8 / 8.0) + (1.0 + 24 / 4.0)
    assert gpu_cluster.gather(8, 6, cluster) == pytest.approx((expected, 16))


def test_one_gpu_sends_nothing_and_one_machine_nothing_over_its_adapters():
    assert gpu_cluster.gather(100, 1) == (0.0, 0) and gpu_cluster.reduce(100, 1) == (0.0, 0)
    assert gpu_cluster.gather(100, 8)[1] == 0 and gpu_cluster.reduce(100, 8)[1] == 0


def test_seen_information_is_a_bit_less_than_what_was_measured_and_never_above_ln_n():
    found = json.loads((scale_sim.ROOT / "benchmarks/results/mutual_information.json").read_text())
    num_candidates = found["settings"]["num_pairs"]
    for entry in found["optimal"]["info_nce"]:
        seen = scale_sim.seen_information(entry["information"], num_candidates)
        assert entry["mean"] - 0.26 < seen <= entry["mean"]
    assert scale_sim.seen_information(8.0, 10**9) == pytest.approx(8.0, abs=0.01)
    assert scale_sim.seen_information(50.0, 1000) == pytest.approx(math.log(1000), abs=1e-3)
    assert scale_sim.seen_information(math.inf, 1000) == math.log(1000)


def test_pointwise_information_is_the_logarithm_of_the_ratio_of_densities():
    stats = pytest.importorskip("scipy.stats")
    drawn = scale_sim.pointwise(2.0, dim=1, num_draws=1000)
    rho = math.sqrt(1 - math.exp(-4.0))
    x, noise = np.random.default_rng(0).normal(size=(2, 1000, 1))
    y = rho * x + math.sqrt(1 - rho**2) * noise
    pairs = np.concatenate([x, y], axis=1)
    joint = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).logpdf(pairs)
    ratio = joint - stats.norm.logpdf(pairs).sum(axis=1)
    np.testing.assert_allclose(drawn, ratio - ratio.mean() + 2.0, atol=1e-9)


def test_a_step_counts_every_score_code_and_weight_once():
    told = gpu_cluster.step(NETWORK, 16, 4, RATIOS)
    assert told["candidates"] == 16 * 4 * 36
    scored = 2 * 3 * (4 * 144) * (16 * 4 * 36) * 64
    assert told["seconds"]["scores"] == pytest.approx(scored / (0.7 * GPU.flops))
    assert told["seconds"]["encoder"] == pytest.approx(3 * 4 * 41e9 * 1.05 / GPU.flops)
    # Two machines: gathered once, and the whole matrix summed, an eighth by each adapter.
    own = 4 * 36 * 64 * 4
    assert told["network_bytes"]["codes"] == own + 2 * (1 / 2) * 16 * own / 8
    assert told["network_bytes"]["gradients"] == 2 * (1 / 2) * 4 * 32_000_000 / 8
    sampled = gpu_cluster.step(NETWORK, 16, 4, RATIOS, num_negatives=575)
    assert sampled["candidates"] == 576
    assert sampled["seconds"]["scores"] == pytest.approx(told["seconds"]["scores"] / 4)
    assert sampled["seconds"]["codes"] == told["seconds"]["codes"]
    alone = gpu_cluster.step(NETWORK, 16, 4, RATIOS, gathered_from=1)
    assert alone["candidates"] == 4 * 36 and alone["seconds"]["codes"] == 0
    assert alone["seconds"]["gradients"] == told["seconds"]["gradients"]


def test_images_that_do_not_fit_are_encoded_once_more():
    most = gpu_cluster.fits(NETWORK)
    assert most * NETWORK.activation_bytes < 64e9 < 2 * most * NETWORK.activation_bytes + 600e6
    whole, more = (gpu_cluster.step(NETWORK, 8, n, RATIOS) for n in (most, 2 * most))
    assert more["seconds"]["encoder"] == pytest.approx(2 * 4 / 3 * whole["seconds"]["encoder"])


def test_the_advised_setting_loses_least_where_it_loses_most():
    told = scale_sim.advised(NETWORK, 64, 16, RATIOS)
    worst = {}
    for name, setting in scale_sim.SETTINGS.items():
        shares = []
        for information in scale_sim.INFORMATIONS:
            arguments = (NETWORK, 64, 16, RATIOS, information)
            most = max(scale_sim.pace(*arguments, **s) for s in scale_sim.SETTINGS.values())
            shares.append(scale_sim.pace(*arguments, **setting) / most)
        worst[name] = min(shares)
    assert told == {"setting": max(worst, key=worst.get), "share": round(max(worst.values()), 4)}
    assert worst["own GPU"] < told["share"] < 1


def test_what_is_described_is_the_model_itself():
    from cpc_keras import CPCModel

    model = CPCModel(
        (16, 16, 1),
        patch_encoder="mlp",
        patch_size=4,
        patch_stride=2,
        offsets=(2, 3),
        directions=("down", "up"),
        context_blocks=1,
        context_filters=8,
    )
    told = scale_sim.network_of(model)
    assert told.codes == 7 * 7 and told.predictions == 2 * (5 + 4) * 7
    assert told.weights == sum(math.prod(v.shape) for v in model.trainable_variables)
    assert told.state_bytes == pytest.approx(5 * 4 * told.weights, rel=0.01)


def test_ratios_are_those_of_the_measured_step():
    ratios = scale_sim.measured()
    step = json.loads((scale_sim.ROOT / "benchmarks/results/step.json").read_text())
    assert ratios["step to encoder"] == step["in floors"]["+ augmentation"]
    assert 0 < ratios["scores to encoder"] < 2


@pytest.mark.skipif(not scale_sim.RESULTS.exists(), reason="no results are published")
def test_the_page_and_the_file_hold_what_is_computed_from_their_facts():
    found = json.loads(scale_sim.RESULTS.read_text())
    again = scale_sim.simulate(found["networks"], found["measured"])
    assert json.loads(json.dumps(again)) == found
    page = scale_sim.PAGE.read_text(encoding="utf-8")
    for table in scale_sim.TABLES.values():
        assert table(found) in page


def test_the_picture_is_drawn_from_results(tmp_path):
    found = scale_sim.simulate({"small": NETWORK._asdict()}, RATIOS)
    scale_sim.draw(json.loads(json.dumps(found)), tmp_path / "scale.png")
    assert (tmp_path / "scale.png").stat().st_size > 10_000
