"""Residual networks against the formulas of their papers."""

import keras
import numpy as np
import pytest

from cpc_keras.encoders import NAMED_RESNETS, PATCH_ENCODERS, named_resnet, patch_encoder, resnet_v2

# Told again, from the papers: blocks, channels and bottlenecks of each stage.
PAPERS = {
    "resnet14": ([1, 1, 1, 1], [256, 512, 1024, 2048], [64, 128, 256, 512]),
    "resnet18": ([2, 2, 2, 2], [64, 128, 256, 512], None),
    "resnet50": ([3, 4, 6, 3], [256, 512, 1024, 2048], [64, 128, 256, 512]),
    "resnet101": ([3, 4, 23, 3], [256, 512, 1024, 2048], [64, 128, 256, 512]),
    "resnet161": ([3, 4, 46], [256, 512, 4096], [64, 128, 512]),
}


def convolutions(name, stages, side):
    """`(kernel side, channels in, channels out, map side)` of every convolution, by hand."""
    blocks, widths, bottlenecks = PAPERS[name]
    half = lambda n: (n + 1) // 2  # noqa: E731
    if side >= 64:
        found = [(7, 3, 64, half(side))]
        side = half(half(side))
    else:
        found = [(3, 3, 64, side)]
    channels = 64
    for stage in range(stages):
        width = widths[stage]
        for block in range(blocks[stage]):
            after = half(side) if stage and not block and half(side) >= 2 else side
            if bottlenecks:
                inner = bottlenecks[stage]
                found.append((1, channels, inner, side))
                found.append((3, inner, inner, after))
                found.append((1, inner, width, after))
            else:
                found += [(3, channels, width, after), (3, width, width, after)]
            if not block and (stage or channels != width):
                found.append((1, channels, width, after))
            channels, side = width, after
    return found


def normalized_channels(name, stages):
    """Channels of every normalisation, by hand: one before each convolution of a block."""
    blocks, widths, bottlenecks = PAPERS[name]
    found, channels = [], 64
    for stage in range(stages):
        for _ in range(blocks[stage]):
            inner = [bottlenecks[stage]] * 2 if bottlenecks else [widths[stage]]
            found += [channels, *inner]
            channels = widths[stage]
    return [*found, channels]


def parameters(name, stages, side, *, normalized=True):
    kernels = sum(k * k * a * b for k, a, b, _ in convolutions(name, stages, side))
    return kernels + 2 * sum(normalized_channels(name, stages)) * normalized


def flops(name, stages, side):
    return 2 * sum(k * k * a * b * n * n for k, a, b, n in convolutions(name, stages, side))


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_the_docstrings_tell_parameters_and_operations(name):
    (row,) = (x for x in named_resnet.__doc__.splitlines() if f'| `"{name}"` |' in x)
    told = [x.strip() for x in row.strip(" |").split("|")][1:]
    blocks, widths, bottlenecks = PAPERS[name]
    expected = [", ".join(map(str, blocks)) + (", basic" if bottlenecks is None else "")]
    expected += [str(widths[2])]
    expected += [f"{parameters(name, n, 64):,}" for n in (3, 4) if n <= len(blocks)]
    assert told[: len(expected)] == expected
    (row,) = (x for x in patch_encoder.__doc__.splitlines() if f'| `"{name}"` |' in x)
    told = [x.strip() for x in row.strip(" |").split("|")][1:]
    assert told == [
        str(widths[2]),
        f"{parameters(name, 3, 8) / 1e6:.1f} million",
        f"{flops(name, 3, 8) / 1e6:.0f} million",
        f"{flops(name, 3, 64) / 1e9:.1f} billion",
    ]


def test_resnet161_is_the_network_whose_size_the_paper_tells():
    # The paper's 305 million: three stages come within 0.5 %; ResNet-101's fourth is too much.
    count = parameters("resnet161", 3, 80)
    assert abs(count / 305e6 - 1) < 0.005
    first = 4096 * 512 + 9 * 512 * 512 + 512 * 2048 + 4096 * 2048
    assert round((count + first + 2 * (2048 * 512 * 2 + 9 * 512 * 512)) / 1e6) == 326
    # The paper's 24 million: ResNet-50 of four stages.
    assert round(parameters("resnet50", 4, 80) / 1e6) == 24
    assert NAMED_RESNETS["resnet170"] == NAMED_RESNETS["resnet161"]


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_names_count_layers(name):
    blocks, _, bottlenecks = PAPERS[name]
    assert int(name.removeprefix("resnet")) == sum(blocks) * (3 if bottlenecks else 2) + 2


@pytest.mark.parametrize(
    ("name", "stages", "side", "normalization"),
    [
        ("resnet14", 3, 8, "group"),
        ("resnet14", 4, 64, "layer"),
        ("resnet18", 3, 64, "none"),
        ("resnet18", 4, 8, "group"),
        ("resnet50", 2, 16, "layer"),
    ],
)
def test_networks_have_the_convolutions_told_by_hand(name, stages, side, normalization):
    encoder = named_resnet(
        name, (side, side, 3), num_stages=stages, normalization=normalization, name="mine"
    )
    found = [
        (*x.kernel_size[:1], *x.kernel.shape[2:], x.output.shape[1])
        for x in encoder.layers
        if isinstance(x, keras.layers.Conv2D)
    ]
    assert sorted(found) == sorted(convolutions(name, stages, side))
    normalized = normalization != "none"
    assert encoder.count_params() == parameters(name, stages, side, normalized=normalized)
    assert encoder.output_shape == (None, PAPERS[name][1][stages - 1])
    assert encoder.name == "mine"


def test_patch_encoder_takes_the_names():
    assert set(NAMED_RESNETS) == {*PAPERS, "resnet170"} <= set(PATCH_ENCODERS)
    encoder = patch_encoder("resnet14", patch_shape=(8, 8, 3), normalization="none")
    assert encoder.count_params() == parameters("resnet14", 3, 8, normalized=False)


def pad_same(x, size, stride, value):
    """Pad `[batch, h, w, c]` as TensorFlow's "same" does: what is odd goes to the end."""
    amounts = []
    for n in x.shape[1:3]:
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        amounts.append((total // 2, total - total // 2))
    return np.pad(x, [(0, 0), *amounts, (0, 0)], constant_values=value)


def slow_convolution(x, kernel, stride=1):
    size = kernel.shape[0]
    rows, columns = (-(-n // stride) for n in x.shape[1:3])
    x = pad_same(x, size, stride, 0)
    result = np.zeros((len(x), rows, columns, kernel.shape[-1]))
    for r in range(rows):
        for c in range(columns):
            window = x[:, r * stride : r * stride + size, c * stride : c * stride + size]
            result[:, r, c] = np.einsum("bhwi,hwio->bo", window, kernel)
    return result


def slow_max_pool(x):
    rows, columns = (-(-n // 2) for n in x.shape[1:3])
    x = pad_same(x, 3, 2, -np.inf)
    result = np.zeros((len(x), rows, columns, x.shape[-1]))
    for r in range(rows):
        for c in range(columns):
            result[:, r, c] = x[:, 2 * r : 2 * r + 3, 2 * c : 2 * c + 3].max((1, 2))
    return result


def slow_resnet(weights, x, blocks, *, normalization, bottleneck, stem, smallest_map=1):
    """Full pre-activation residual network, He et al. 2016, figure 4 (e)."""

    def activate(x, name):
        axes = {"group": (1, 2, 3), "layer": 3}.get(normalization)
        if axes:
            x = x - x.mean(axes, keepdims=True)
            x = x / np.sqrt((x**2).mean(axes, keepdims=True) + 1e-5)
            x = x * weights[f"{name}_norm/gamma"] + weights[f"{name}_norm/beta"]
        return np.maximum(x, 0)

    x = x / 127.5 - 1
    x = slow_convolution(x, weights["stem/kernel"], 2 if stem == "imagenet" else 1)
    if stem == "imagenet":
        x = slow_max_pool(x)
    for stage, count in enumerate(blocks):
        for block in range(count):
            name = f"stage{stage}_block{block}"
            halves = stage > 0 and block == 0 and -(-min(x.shape[1:3]) // 2) >= smallest_map
            strides = [1, 2 if halves else 1, 1] if bottleneck else [2 if halves else 1, 1]
            y, shortcut = x, x
            for n, stride in enumerate(strides):
                y = activate(y, f"{name}_{n}")
                if n == 0 and f"{name}_shortcut/kernel" in weights:
                    kernel = weights[f"{name}_shortcut/kernel"]
                    shortcut = slow_convolution(y, kernel, 2 if halves else 1)
                y = slow_convolution(y, weights[f"{name}_conv{n}/kernel"], stride)
            x = shortcut + y
    return activate(x, "final").mean((1, 2))


@pytest.mark.parametrize(
    ("stem", "bottlenecks", "normalization", "shape", "smallest_map"),
    [
        ("small", (3, 5), "group", (7, 6, 2), 1),
        ("small", (3, 5), "none", (3, 2, 1), 2),
        ("imagenet", (3, 5), "layer", (20, 17, 3), 1),
        ("imagenet", None, "none", (12, 16, 1), 2),
        ("small", None, "group", (5, 8, 1), 1),
        ("small", None, "layer", (2, 2, 1), 1),
    ],
)
def test_the_network_is_the_papers(stem, bottlenecks, normalization, shape, smallest_map):
    encoder = resnet_v2(
        shape,
        widths=(8, 12),
        blocks=(1, 2),
        bottlenecks=bottlenecks,
        stem=stem,
        smallest_map=smallest_map,
        normalization=normalization,
    )
    rng = np.random.default_rng(0)
    encoder.set_weights([rng.normal(0, 0.5, w.shape) for w in encoder.get_weights()])
    weights = {"/".join(w.path.split("/")[-2:]): np.asarray(w) for w in encoder.weights}
    x = rng.uniform(0, 255, (2, *shape)).astype("float32")
    expected = slow_resnet(
        weights,
        x.astype("float64"),
        (1, 2),
        normalization=normalization,
        bottleneck=bottlenecks is not None,
        stem=stem,
        smallest_map=smallest_map,
    )
    np.testing.assert_allclose(np.asarray(encoder(x)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("side", "stages", "map_side"),
    [(2, 3, 2), (3, 2, 2), (5, 3, 2), (8, 3, 2), (8, 4, 2), (16, 3, 4), (64, 4, 2), (80, 3, 5)],
)
def test_maps_keep_two_rows_where_patches_have_them(side, stages, map_side):
    encoder = named_resnet("resnet14", (side, side, 1), num_stages=stages)
    assert encoder.get_layer("final_relu").output.shape[1:3] == (map_side, map_side)


def test_a_map_of_one_position_is_left_to_those_who_ask_for_it():
    encoder = patch_encoder("tiny", patch_shape=(4, 4, 1))
    assert encoder.get_layer("final_relu").output.shape[1:3] == (1, 1)


@pytest.mark.parametrize(
    ("sides", "stem", "kernel"),
    [
        ((64, 64), "auto", 7),
        ((63, 80), "auto", 3),
        ((64, 64), "small", 3),
        ((16, 16), "imagenet", 7),
    ],
)
def test_the_stem_goes_by_the_shorter_side(sides, stem, kernel):
    encoder = named_resnet("resnet14", (*sides, 1), num_stages=1, stem=stem)
    assert encoder.get_layer("stem").kernel_size == (kernel, kernel)
    assert ("stem_pool" in {x.name for x in encoder.layers}) == (kernel == 7)


def test_patches_of_any_size_pass_where_sides_are_left_open():
    encoder = named_resnet("resnet14", (None, None, 1), num_stages=2, stem="small")
    for side in (4, 7):
        assert encoder(np.zeros((1, side, side, 1))).shape == (1, 512)


@pytest.mark.parametrize(("normalization", "share"), [("none", 1 / 3), ("group", 1)])
def test_blocks_without_normalisation_start_small(normalization, share):
    encoder = named_resnet("resnet14", (8, 8, 1), normalization=normalization)
    for stage, inner in enumerate((64, 128, 256)):
        last = np.asarray(encoder.get_layer(f"stage{stage}_block0_conv2").kernel)
        np.testing.assert_allclose(last.var(), share * 2 / inner, rtol=0.1)
        first = np.asarray(encoder.get_layer(f"stage{stage}_block0_conv1").kernel)
        np.testing.assert_allclose(first.var(), 2 / (9 * inner), rtol=0.1)


def test_deep_networks_without_normalisation_keep_codes_small():
    def deviation(variance):
        keras.utils.set_random_seed(0)
        encoder = resnet_v2(
            (4, 4, 1),
            widths=(64,),
            blocks=(16,),
            bottlenecks=(16,),
            branch_variance=variance,
            normalization="none",
        )
        return np.asarray(encoder(np.random.default_rng(0).uniform(0, 255, (8, 4, 4, 1)))).std()

    assert deviation(1.0) > 6  # 2 ** (16 / 2) times that of the stem
    assert deviation(1 / 16) < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "resnet152"}, "architecture must be one of .*'resnet101'.*'resnet152'"),
        ({"num_stages": 0}, "num_stages of resnet14 must be 1 to 4. Received: 0"),
        ({"num_stages": 5}, "num_stages of resnet14 must be 1 to 4. Received: 5"),
        (
            {"architecture": "resnet161", "num_stages": 4},
            "num_stages of resnet161 must be 1 to 3. Received: 4",
        ),
        ({"stem": "large"}, "stem must be one of .*'auto', 'small', 'imagenet'.*Received: 'large'"),
        ({"input_shape": (None, 8, 1)}, 'stem="auto" goes by the sides.*None, 8, 1'),
        (
            {"normalization": "batch"},
            "normalization must be one of .*Batch normalisation is refused",
        ),
    ],
)
def test_what_no_named_network_has_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        named_resnet(**{"architecture": "resnet14", "input_shape": (8, 8, 1), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"blocks": (1, 1)}, "must tell the same number of stages"),
        ({"bottlenecks": (4, 4)}, "must tell the same number of stages"),
        ({"widths": (), "blocks": ()}, "must tell the same number of stages, at least 1"),
        ({"stem": "auto"}, "stem must be one of .*'small'"),
        (
            {"input_shape": (8, None, 1), "smallest_map": 2},
            "smallest_map=2 needs the sides of the patches",
        ),
    ],
)
def test_stages_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        resnet_v2(**{"input_shape": (8, 8, 1), "widths": (8,), "blocks": (1,), **arguments})
