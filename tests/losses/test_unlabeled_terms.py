"""The terms of unlabelled images, against slow NumPy written from the papers."""

import keras
import numpy as np
import pytest

from cpc_keras.losses import EntropyMinimization, PseudoLabel, VirtualAdversarial
from cpc_keras.ops import kl_divergence, kl_hessian_product, virtual_adversarial_direction

LOGITS = np.random.default_rng(0).normal(scale=3.0, size=(6, 5)).astype("float32")


def softmax(logits):
    """Of one example, in float64."""
    exponentials = [np.exp(float(x) - max(map(float, logits))) for x in logits]
    return np.array(exponentials) / sum(exponentials)


def small_network(seed=0):
    """Smooth, so that its Hessian is what finite differences in float64 say it is."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(6, 8)) / 2, rng.normal(size=(8, 4))

    def in_numpy(x):
        return np.tanh(x @ first) @ second

    def in_keras(x):
        hidden = keras.ops.tanh(keras.ops.matmul(x, first.astype("float32")))
        return keras.ops.matmul(hidden, second.astype("float32"))

    return in_numpy, in_keras


def true_hessian(in_numpy, x):
    """Of KL(p(x) || p(x + r)) by r at 0, by central differences in float64."""
    p = softmax(in_numpy(x))

    def divergence(r):
        return float(np.sum(p * (np.log(p) - np.log(softmax(in_numpy(x + r))))))

    size, step = len(x), 1e-4
    hessian = np.zeros((size, size))
    unit = np.eye(size) * step
    for i in range(size):
        for j in range(size):
            hessian[i, j] = (
                divergence(unit[i] + unit[j])
                - divergence(unit[i] - unit[j])
                - divergence(unit[j] - unit[i])
                + divergence(-unit[i] - unit[j])
            ) / (4 * step**2)
    return hessian


def test_kl_divergence_is_the_sum_of_the_definition():
    other = LOGITS[::-1] * 0.5
    expected = [
        sum(p * np.log(p / q) for p, q in zip(softmax(a), softmax(b), strict=True))
        for a, b in zip(LOGITS, other, strict=True)
    ]
    np.testing.assert_allclose(kl_divergence(LOGITS, other), expected, rtol=1e-4)


def test_kl_divergence_is_not_cut_off_where_the_other_is_sure_and_wrong():
    sure = np.array([[200.0, 0.0]], "float32")
    np.testing.assert_allclose(kl_divergence(-sure, sure), [200.0], rtol=1e-5)


def test_the_product_is_that_with_the_true_hessian():
    in_numpy, in_keras = small_network()
    rng = np.random.default_rng(1)
    x, d = rng.normal(size=(2, 3, 6))
    _, product = kl_hessian_product(in_keras, x.astype("float32"), d.astype("float32"))
    expected = [true_hessian(in_numpy, one) @ v for one, v in zip(x, d, strict=True)]
    np.testing.assert_allclose(product, expected, rtol=1e-3, atol=1e-5)


def test_one_iteration_improves_on_random_and_twenty_reach_the_leading_direction():
    in_numpy, in_keras = small_network()
    rng = np.random.default_rng(2)
    x, start = rng.normal(size=(2, 40, 6)).astype("float32")
    leading = np.array([np.linalg.eigh(true_hessian(in_numpy, one))[1][:, -1] for one in x])

    def cosines(directions):
        directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        return np.abs(np.sum(directions * leading, axis=1))

    def after(count):
        return np.asarray(
            virtual_adversarial_direction(in_keras, x, start=start, num_power_iterations=count)[1]
        )

    np.testing.assert_allclose(np.linalg.norm(after(1), axis=1), 1.0, rtol=1e-5)
    assert cosines(after(1)).mean() > cosines(start).mean() + 0.2
    assert cosines(after(20)).min() > 0.99


def test_the_direction_of_a_sure_prediction_is_not_lost():
    _, in_keras = small_network()
    x = np.random.default_rng(3).normal(size=(4, 6)).astype("float32")
    _, direction = virtual_adversarial_direction(lambda x: 8.0 * in_keras(x), x, start=x[::-1])
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_direction_is_not_lost_in_half_precision(policy):
    def network(dtype):
        keras.utils.set_random_seed(0)
        layers = [
            keras.Input((32, 32, 1)),
            keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype),
            keras.layers.Conv2D(8, 3, activation="relu", dtype=dtype),
            keras.layers.Conv2D(8, 3, activation="relu", dtype=dtype),
            keras.layers.GlobalAveragePooling2D(dtype=dtype),
            keras.layers.Dense(4, dtype=dtype),
        ]
        return keras.Sequential(layers)

    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (3, 32, 32, 1)).astype("float32")
    start = rng.normal(size=x.shape).astype("float32")
    whole, half = (
        np.asarray(virtual_adversarial_direction(network(dtype), x, start=start)[1])
        for dtype in ("float32", policy)
    )
    cosines = (whole * half).sum(axis=(1, 2, 3))
    assert (cosines > (0.98 if policy == "mixed_float16" else 0.9)).all(), cosines


def test_virtual_adversarial_is_the_divergence_at_that_distance_in_pixels():
    in_numpy, in_keras = small_network()
    scale = 1 / 127.5
    x = np.random.default_rng(4).normal(size=(5, 6)).astype("float32") / scale
    term = VirtualAdversarial(0.7, num_power_iterations=30, seed=0)
    found = np.asarray(term(None, images=x, classify=lambda images: in_keras(images * scale)))
    for one, value in zip(x * scale, found, strict=True):
        leading = np.linalg.eigh(true_hessian(in_numpy, np.float64(one)))[1][:, -1]
        p = softmax(in_numpy(one))
        # The sign is as the iteration began.
        both = [
            np.sum(p * np.log(p / softmax(in_numpy(one + sign * 0.7 * leading))))
            for sign in (1, -1)
        ]
        assert np.min(np.abs(np.array(both) - value)) < 2e-2 * value


def test_the_clean_prediction_and_the_direction_are_constants_to_the_gradient():
    tf = pytest.importorskip("tensorflow")
    _, in_keras = small_network()
    x = np.random.default_rng(5).normal(size=(4, 6)).astype("float32")
    factor = tf.Variable(1.0)
    term = VirtualAdversarial(0.01, seed=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(term(None, images=x, classify=lambda x: factor * in_keras(x)))
    found = float(tape.gradient(loss, factor))
    # By hand: the same direction and clean logits, and only the perturbed pass depends on it.
    again = VirtualAdversarial(0.01, seed=0)
    start = keras.random.normal(x.shape, seed=again.seed_generator)
    clean, direction = virtual_adversarial_direction(in_keras, x, start=start)

    def divergence(factor):
        perturbed = in_keras(x + 0.01 * 127.5 * direction)
        return float(np.sum(kl_divergence(clean, factor * perturbed)))

    expected = (divergence(1.01) - divergence(0.99)) / 0.02
    np.testing.assert_allclose(found, expected, rtol=1e-2)


def test_pseudo_label_is_minus_the_log_of_the_largest_probability():
    expected = [-np.log(max(softmax(row))) for row in LOGITS]
    np.testing.assert_allclose(PseudoLabel()(LOGITS), expected, rtol=1e-4, atol=1e-6)
    above = [max(softmax(row)) >= 0.8 for row in LOGITS]
    assert 0 < sum(above) < len(above)
    kept = np.where(above, expected, 0.0)
    np.testing.assert_allclose(PseudoLabel(threshold=0.8)(LOGITS), kept, rtol=1e-4, atol=1e-6)


def test_the_weight_of_pseudo_labels_waits_and_then_rises():
    term = PseudoLabel(3.0, ramp=(2, 5))
    found = []
    for _ in range(7):
        term(LOGITS, training=True)
        term(LOGITS, training=False)  # evaluation is no step
        found.append(float(term.weight_now()))
    np.testing.assert_allclose(found, [0, 0, 1, 2, 3, 3, 3], rtol=1e-6)
    assert float(PseudoLabel(3.0, ramp=(0, 0)).weight_now()) == 3.0


def test_entropy_is_the_sum_of_the_definition():
    expected = [-sum(p * np.log(p) for p in softmax(row)) for row in LOGITS]
    np.testing.assert_allclose(EntropyMinimization()(LOGITS), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "term",
    [
        PseudoLabel(2.0, ramp=(3, 9), threshold=0.5, rows="all", name="a"),
        EntropyMinimization(0.5, rows="unlabeled", name="b"),
        VirtualAdversarial(3.0, num_power_iterations=2, weight=0.5, rows="unlabeled", seed=4),
    ],
    ids=lambda term: type(term).__name__,
)
def test_every_argument_comes_back_from_the_config(term):
    again = type(term).from_config(term.get_config())
    for name, value in vars(term).items():
        if isinstance(value, int | float | str | tuple) and not name.startswith("_"):
            assert getattr(again, name) == value, name
    assert term.get_config() == again.get_config()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PseudoLabel(-1.0), "weight must be 0 or more"),
        (lambda: PseudoLabel(rows="some"), "rows must be one of"),
        (lambda: PseudoLabel(ramp=(5, 2)), "0 <= T1 <= T2"),
        (lambda: PseudoLabel(threshold=1.0), r"probability in \[0, 1\)"),
        (lambda: VirtualAdversarial(0.0), "epsilon must be greater than 0"),
        (lambda: VirtualAdversarial(1.0, num_power_iterations=0), "a random direction"),
    ],
)
def test_bad_arguments_get_an_answer(build, message):
    with pytest.raises(ValueError, match=message):
        build()
