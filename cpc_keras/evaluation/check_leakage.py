"""Proof by gradient that no prediction sees its target."""

import functools
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from cpc_keras.evaluation.leakage_result import LeakageFinding, LeakageMap, LeakageResult
from cpc_keras.layers import PatchGrid

# How the rows and columns of an array turn when the direction is made to point down. The geometry
# is worked out here with NumPy alone, not with the functions of the model that are under test.
QUARTER_TURNS = {"down": 0, "up": 2, "left": 1, "right": -1}

# Images of a batch in which the first must not depend on the others.
NUM_COMPANIONS = 3


def check_leakage(
    model: keras.Model,
    *,
    positions: Sequence[tuple[int, int]] | None = None,
    num_draws: int = 2,
    batch_size: int = 64,
    seed: int = 0,
) -> LeakageResult:
    """Find by gradient which pixels each prediction of a `CPCModel` depends on.

    A prediction that sees its target is right without having learned anything; the loss falls and
    the features are worth nothing. Run this once on a model with a patch encoder, a context network
    or a normalisation of your own, before it trains.

    A prediction depends on a pixel where the gradient is not exactly zero, on random images, of the
    prediction's product with a random vector (each element of the Jacobian is in it, and no two
    cancel but by chance). It must depend on

    - no pixel of its target, nor of anything else that the target's code was found to depend on,
      except those shared with patches that it may see, where the model was built with
      `allow_overlap=True`;
    - no pixel beyond the patches of its own row and the rows above, in the direction's frame;
    - no pixel of another image of the batch (statistics over the batch);
    - at least one pixel of its own patch, in every prediction: else it is dead and proves nothing.

    All of it is done as at inference and, where that is another function, as in training with the
    augmentation off (batch statistics, dropout). A further draw is made with weights a little off,
    since a weight that is zero, as many are at the start, hides a path: it counts for leaks, not
    for life. What has no gradient (rounding, `stop_gradient`) is looked for by changing all pixels
    that a prediction must not see. Neither weights nor the states of random generators change.

    What it does not prove: that the loss compares a prediction with the target of its direction
    and offset, and that augmentation keeps patches apart.

    It takes as long as some training steps on `num_draws + 1` images a prediction: for a grid of
    7x7, four directions and three offsets, 336 predictions, those on a thousand images.

    Args:
        model: a `CPCModel`.
        positions: rows and columns, in the grid of the image, of the patches whose predictions are
            checked; by default all.
        num_draws: random images a prediction, at least 1. More find gradients that a ReLU hides.
        batch_size: images that are computed at a time.
        seed: of the images and vectors.

    Returns:
        `LeakageResult`: `ok`, `maps`, `leaks`, `overlaps`, `dead`; `print` it, or `draw` it.

    Raises:
        ValueError: no `CPCModel`, positions outside the grid or without any target, numbers below
            1, or gradients that are not finite.

    Example:
        >>> model = CPCModel((16, 16, 1), patch_encoder="mlp", patch_size=8, patch_stride=4,
        ...                  offsets=(2,), directions=("down",), context_filters=8)
        >>> print(check_leakage(model))
        direction  offset  predictions  pixels seen  shared  leaks  dead
        down            2            3     128..128       0      0     0
        No prediction depends on anything that it must not see.

    Reference:
        Henaff et al. 2019, arXiv:1905.09272, on batch normalisation that lets patches see each
        other.
    """
    for name, value in (("num_draws", num_draws), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {value!r}.")
    layout = _Layout(model, positions)
    rng = np.random.default_rng(seed)
    draws = [False] * num_draws + [True]  # the last with weights that are a little off
    terms = list(layout.terms)
    seen = {term: layout.nothing(term) for term in (*terms, None)}
    alive = {term: layout.nothing(term) for term in (*terms, None)}
    crossing, changing = set(), set()
    for functions in _functions(model, layout, rng):
        crossed = set()
        if _sees_other_images(functions["all"], draws, rng):
            crossed = {t for t in (*terms, None) if _sees_other_images(functions[t], draws, rng)}
        crossing |= crossed
        for term in (*terms, None):
            # Copies of an image would be blamed for what they do to each other: one at a time,
            # which is slow, and the verdict stands.
            for disturbed in draws[:1] if term in crossed else draws:
                found = _pixels_seen(
                    functions[term],
                    layout.frame_positions(term),
                    disturbed,
                    rng,
                    batch_size=1 if term in crossed else batch_size,
                )
                seen[term] |= found
                if not disturbed:
                    alive[term] |= found
            if term is not None and term not in crossed:
                changing |= _changed_unseen(functions[term], layout, term, batch_size, rng)
    return _result(layout, seen, alive, crossing, changing)


class _Layout:
    """Where the patches of predictions and targets lie, by direction and offset."""

    def __init__(self, model, positions):
        if not hasattr(model, "network") or not hasattr(model, "patch_encoder"):
            raise ValueError(
                "check_leakage takes a CPCModel. Received: "
                f"{model!r} of type {type(model).__name__}."
            )
        self.image_shape, self.grid = model.image_shape, model.grid
        config = model.get_config()
        self.size, self.stride = config["patch_size"], config["patch_stride"]
        self.outputs = model.network.output
        self.wrong_shapes = []
        names = [name for name in self.outputs if name != "targets"]
        every = [(d, int(k)) for d, k in (name.rsplit("_", 1) for name in names)]
        every.sort(key=lambda term: (list(QUARTER_TURNS).index(term[0]), term[1]))
        chosen = self._checked(positions)
        # Frame positions (row, column) of the predictions to check; None stands for the targets.
        self.terms = {}
        for direction, offset in every:
            places = self.places(direction)
            rows, columns = places.shape[0] - offset, places.shape[1]
            if tuple(self.outputs[f"{direction}_{offset}"].shape[1:3]) != (rows, columns):
                self.wrong_shapes.append((direction, offset))
                continue
            frame = [(r, c) for r in range(rows) for c in range(columns)]
            frame = [p for p in frame if chosen is None or tuple(places[p].tolist()) in chosen]
            if frame:
                self.terms[direction, offset] = frame
        if not self.terms and not self.wrong_shapes:
            raise ValueError(
                f"check_leakage: no prediction is made from the patches {positions}: their targets "
                f"lie outside the grid of {self.grid[0]}x{self.grid[1]}. Leave `positions` out to "
                "check all."
            )

    def _checked(self, positions):
        if positions is None:
            return None
        chosen = {tuple(int(n) for n in p) for p in positions}
        rows, columns = self.grid
        for p in chosen:
            if len(p) != 2 or not (0 <= p[0] < rows and 0 <= p[1] < columns):
                raise ValueError(
                    f"positions must be (row, column) in the grid of {rows}x{columns} patches, "
                    f"counted from 0. Received: {p}."
                )
        return chosen

    def places(self, direction):
        """Row and column in the image's grid of each frame position, `[rows, columns, 2]`."""
        places = np.stack(np.mgrid[: self.grid[0], : self.grid[1]], axis=-1)
        return np.rot90(places, QUARTER_TURNS[direction])

    def output(self, term):
        return "targets" if term is None else f"{term[0]}_{term[1]}"

    def frame_positions(self, term):
        rows, columns = self.grid
        every = [(r, c) for r in range(rows) for c in range(columns)]
        return every if term is None else self.terms[term]

    def nothing(self, term):
        """No pixel seen, `[positions, height, width]`."""
        return np.zeros((len(self.frame_positions(term)), *self.image_shape[:2]), bool)

    def patches(self, places):
        """The pixels of patches, `[..., 2]` rows and columns, as a mask of the image."""
        mask = np.zeros(self.image_shape[:2], bool)
        for row, column in np.reshape(places, (-1, 2)) * self.stride:
            mask[row : row + self.size, column : column + self.size] = True
        return mask

    def field(self, term, position):
        """The pixels that a prediction may depend on: its row and those above, in the frame."""
        return self.patches(self.places(term[0])[: position[0] + 1])


def _functions(model, layout, rng):
    """The network as at inference and, if it is another function, as in training.

    For each, by term (`None` stands for the targets, "all" for everything, flattened): a function
    of images and of whether the weights are a little off.
    """
    images = _images(layout.image_shape, NUM_COMPANIONS + 1, rng)
    inference = _mode(model.network, layout, False, rng)
    training = _mode(_without_augmentation(model), layout, True, rng)
    yield inference
    outputs = [ops.convert_to_numpy(mode["all"](images, False)) for mode in (inference, training)]
    if not np.array_equal(*outputs):
        yield training


def _mode(network, layout, training, rng):
    noise = {id(v): _noise(v, rng) for v in network.trainable_variables}

    def function(*terms):
        # Alone, so that the other directions are not computed.
        outputs = [network.output[layout.output(term)] for term in terms]
        part = keras.Model(network.input, outputs)

        def call(images, disturbed):
            weights = [v.value for v in part.trainable_variables]
            if disturbed:
                weights = [
                    w + ops.cast(noise[id(v)], w.dtype)
                    for v, w in zip(part.trainable_variables, weights, strict=True)
                ]
            # Stateless: moving averages and random generators stay as they are.
            states = [v.value for v in part.non_trainable_variables]
            outputs, _ = part.stateless_call(
                weights, states, ops.convert_to_tensor(images), training=training
            )
            # Keras unpacks a list of one.
            outputs = outputs if isinstance(outputs, list) else [outputs]
            outputs = [ops.cast(x, "float32") for x in outputs]
            if len(outputs) == 1:
                return outputs[0]
            return ops.concatenate([ops.reshape(x, (len(images), -1)) for x in outputs], axis=-1)

        call.image_shape, call.output_shape = layout.image_shape, outputs[0].shape[1:]
        # What is small stays above what float32 can hold; float16 holds little to begin with.
        call.scale = 2.0**8 if network.output["targets"].dtype == "float16" else 2.0**20
        return call

    functions = {term: function(term) for term in (*layout.terms, None)}
    return {"all": function(*layout.terms, None), **functions}


def _noise(variable, rng):
    values = ops.convert_to_numpy(ops.cast(variable.value, "float32"))
    scale = 0.1 * np.sqrt(np.mean(values**2)) + 0.05
    return rng.normal(size=values.shape, scale=scale).astype("float32")


def _without_augmentation(model):
    """The network with the same layers, but those before and after the cut into patches."""
    chain = model.network.layers
    encoder = model.patch_encoder if model.shared_encoder is None else model.shared_encoder
    end = next(i for i, x in enumerate(chain) if x is encoder)
    augmentation = [x for x in chain[1:end] if not isinstance(x, PatchGrid)]
    if not augmentation:
        return model.network

    def call(layer, *args, **kwargs):
        return args[0] if any(layer is a for a in augmentation) else layer(*args, **kwargs)

    return keras.models.clone_model(
        model.network, clone_function=lambda layer: layer, call_function=call
    )


def _images(image_shape, count, rng):
    return rng.uniform(0, 255, (count, *image_shape)).astype("float32")


def _sees_other_images(function, draws, rng):
    """Whether the outputs of the first image depend on the other images of the batch."""
    for disturbed in draws:
        images = _images(function.image_shape, NUM_COMPANIONS + 1, rng)
        outputs = ops.convert_to_numpy(function(images, disturbed))
        vectors = rng.normal(size=outputs.shape, scale=function.scale).astype("float32")
        vectors[1:] = 0
        if _gradient(functools.partial(function, disturbed=disturbed), images, vectors)[1:].any():
            return True
        others = _images(function.image_shape, NUM_COMPANIONS + 1, rng)
        others[0] = images[0]
        if _differs(outputs[0], ops.convert_to_numpy(function(others, disturbed))[0]):
            return True
    return False


def _pixels_seen(function, positions, disturbed, rng, *, batch_size):
    """`[positions, height, width]`: where the gradient of each position's output is not zero."""
    image, companion = _images(function.image_shape, 2, rng)
    found = []
    for start in range(0, len(positions), batch_size):
        chunk = positions[start : start + batch_size]
        # One copy of the image a position: the gradients of all in one go.
        images = np.repeat(image[None], len(chunk), axis=0)
        if batch_size == 1:  # what normalises over the batch makes nothing of a single image
            images = np.concatenate([images, companion[None]])
        vectors = np.zeros((len(images), *function.output_shape), "float32")
        for n, (row, column) in enumerate(chunk):
            vectors[n, row, column] = rng.normal(size=vectors.shape[-1], scale=function.scale)
        gradient = _gradient(functools.partial(function, disturbed=disturbed), images, vectors)
        found.append(gradient[: len(chunk)].any(axis=-1))
    return np.concatenate(found)


def _changed_unseen(function, layout, term, batch_size, rng):
    """The predictions that change when all pixels that they must not see are drawn anew."""
    image, other = _images(function.image_shape, 2, rng)
    positions, changed = layout.terms[term], set()
    for start in range(0, len(positions), batch_size):
        chunk = positions[start : start + batch_size]
        fields = np.stack([layout.field(term, position) for position in chunk])
        before = ops.convert_to_numpy(function(np.repeat(image[None], len(chunk), axis=0), False))
        after = ops.convert_to_numpy(function(np.where(fields[..., None], image, other), False))
        changed |= {
            (term, position)
            for n, position in enumerate(chunk)
            if _differs(before[n][position], after[n][position])
        }
    return changed


def _differs(before, after):
    # Not to the last bit: the kernels of a GPU need not add in the same order each time.
    return bool(np.abs(before - after).max() > 1e-5 * np.abs(before).max())


def _gradient(function, images, vectors):
    """Gradient of `sum(function(images) * vectors)` by the images, as an array."""
    backend = keras.backend.backend()

    def total(x):
        return ops.sum(function(x) * vectors)

    if backend == "tensorflow":
        import tensorflow as tf

        images = tf.convert_to_tensor(images)
        with tf.GradientTape() as tape:
            tape.watch(images)
            result = total(images)
        gradient = tape.gradient(result, images)
        # TensorFlow's way of saying that there is no path at all.
        gradient = np.zeros(images.shape, "float32") if gradient is None else gradient.numpy()
    elif backend == "jax":
        import jax

        gradient = np.asarray(jax.grad(total)(jax.numpy.asarray(images)))
    elif backend == "torch":
        import torch

        images = ops.convert_to_tensor(images).requires_grad_()
        (gradient,) = torch.autograd.grad(total(images), images, allow_unused=True)
        gradient = np.zeros(images.shape) if gradient is None else gradient.cpu().numpy()
    else:
        raise ValueError(
            "check_leakage takes gradients on the backends tensorflow, jax and torch. Received: "
            f"{backend!r}."
        )
    if not np.isfinite(gradient).all():
        raise ValueError(
            "check_leakage: gradients that are not finite prove nothing. Received NaN or infinity: "
            "check the model's weights, or use another dtype policy than float16."
        )
    return gradient


def _result(layout, seen, alive, crossing, changing):
    """Put together maps and findings."""
    maps, leaks, overlaps, dead = {}, [], [], []
    leaks += [LeakageFinding(*term, None, "shape") for term in layout.wrong_shapes]
    rows, columns = layout.grid
    target_seen = seen[None].reshape(rows, columns, *layout.image_shape[:2])
    target_alive = alive[None].reshape(rows, columns, *layout.image_shape[:2])
    for term, positions in layout.terms.items():
        places, maps[term] = layout.places(term[0]), {}
        if term in crossing or None in crossing:
            leaks.append(LeakageFinding(*term, None, "other_image"))
        for n, (r, c) in enumerate(positions):
            here = tuple(places[r, c].tolist())
            ahead = tuple(places[r + term[1], c].tolist())
            own, field = layout.patches(here), layout.field(term, (r, c))
            patch = layout.patches(ahead)
            predicting, target = seen[term][n], target_seen[ahead] | patch
            overlap = predicting & target
            maps[term][here] = LeakageMap(predicting, target, overlap)
            if overlap.any():
                overlaps.append(LeakageFinding(*term, here, "target", int(overlap.sum())))
            # Shared by the target with patches that may be seen: there only where the model was
            # built with allow_overlap=True, which refuses such offsets otherwise.
            leaked = overlap & ~(field & patch)
            outside = predicting & ~field & ~patch
            if leaked.any():
                leaks.append(LeakageFinding(*term, here, "target", int(leaked.sum())))
            if outside.any():
                leaks.append(LeakageFinding(*term, here, "outside", int(outside.sum())))
            if (term, (r, c)) in changing and not leaked.any() and not outside.any():
                leaks.append(LeakageFinding(*term, here, "no_gradient"))
            if not alive[term][n][own].any():
                dead.append(LeakageFinding(*term, here, "dead_prediction", int(own.sum())))
            if not target_alive[ahead][patch].any():
                dead.append(LeakageFinding(*term, here, "dead_target", int(patch.sum())))
    return LeakageResult(
        maps=maps,
        leaks=leaks,
        overlaps=overlaps,
        dead=dead,
        grid=layout.grid,
        patch_size=layout.size,
        patch_stride=layout.stride,
    )
