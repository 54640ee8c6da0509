"""What a pre-training model is and what a step of it costs."""

import dataclasses
import math

import keras

from cpc_keras.encoders import count_activations, count_flops
from cpc_keras.losses.info_nce import GROUPED
from cpc_keras.models.cpc_model import CPCModel
from cpc_keras.models.instance_model import InstanceModel
from cpc_keras.models.pair_model import PairModel
from cpc_keras.models.pretext_model import PretextModel
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.models.semi_supervised_model import SemiSupervisedModel
from cpc_keras.ops.streamed_info_nce import BLOCK_SCORES

BYTES = 4  # of float32
# Matrices as large as the scores that a term keeps for its gradient: the scores without those that
# are left out, and their exponentials.
SCORE_COPIES = 2


@dataclasses.dataclass(frozen=True)
class Scores:
    """What one term of the loss scores in a step.

    Attributes:
        num_predictions: predictions that are scored, of the whole batch.
        num_candidates: N, what each is told from, the true one included.
        dim: length of the vectors that are compared.
    """

    num_predictions: int
    num_candidates: int
    dim: int


@dataclasses.dataclass(frozen=True)
class Description:
    """What `describe` found; `print` it.

    Attributes:
        facts: what the model is, by name.
        scores: `Scores` of every term of the loss.
        parameters: number of weights of each part.
        image_flops: floating-point operations of a forward pass of one image, of each part; two
            for a multiplication and addition (`encoders.count_flops`).
        batch_size: images a step, of all that is told of a step.
        memory: estimated bytes of a training step in float32, by what takes them.
    """

    facts: dict[str, str]
    scores: dict[str, Scores]
    parameters: dict[str, int]
    image_flops: dict[str, int]
    batch_size: int
    memory: dict[str, int]

    @property
    def step_flops(self) -> int:
        """Operations of a training step: three forward passes, the two backward ones counted."""
        scores = sum(2 * math.prod(dataclasses.astuple(s)) for s in self.scores.values())
        return 3 * (self.batch_size * sum(self.image_flops.values()) + scores)

    def __str__(self):
        lines = [(name, text) for name, text in self.facts.items()]
        for kind in dict.fromkeys(self.scores.values()):
            terms = [name for name, scores in self.scores.items() if scores == kind]
            lines.append(
                (
                    "candidates",
                    f"N = {kind.num_candidates:,} (ln N = {math.log(kind.num_candidates):.2f} "
                    f"nats) for {kind.num_predictions:,} predictions each of {', '.join(terms)}",
                )
            )
        for title, parts, unit in (
            ("parameters", self.parameters, ""),
            ("FLOPs, one image forward", self.image_flops, ""),
        ):
            lines += [(title, f"{_short(v)}{unit}  {name}") for name, v in parts.items()]
        lines.append(
            ("FLOPs, training step", f"{_short(self.step_flops)}  batch of {self.batch_size}")
        )
        for name, value in self.memory.items():
            lines.append(("memory, training step", f"{_gib(value)}  {name}"))
        lines.append(("memory, training step", f"{_gib(sum(self.memory.values()))}  in all"))
        width = max(len(name) for name, _ in lines)
        shown, text = None, []
        for name, value in lines:
            text.append(f"{'' if name == shown else name:{width}}  {value}")
            shown = name
        return "\n".join(text)


def describe(
    model: PretrainingModel, *, batch_size: int = 64, optimizer_slots: int = 2
) -> Description:
    """Tell what a model is made of, its candidates, and what a training step costs.

    Nothing is run. Operations are those of dense and convolutional layers, forward, and three times
    that for a step. Memory is an estimate for float32 on one device, which holds the whole batch:
    weights, gradients and the optimizer's state are exact; of activations the outputs of all layers
    are counted, of the scores what the loss keeps. Four models whose memory was measured on two
    processor cores took 0.75 to 1.06 times as much (`tests/models/test_describe.py` holds a half to
    two times). Mixed precision halves the activations, and gradients that are recomputed
    (`keras.RematScope`) save most of them.

    Args:
        model: a `CPCModel`, `PairModel`, `PretextModel`, `InstanceModel` or `SemiSupervisedModel`.
        batch_size: images a step.
        optimizer_slots: numbers that the optimizer keeps of each weight: Adam 2, SGD with momentum
            1, one more with `use_ema=True`.

    Returns:
        `Description`.

    Raises:
        ValueError: a batch size below 1, another model, or layers whose operations are not counted
            (`encoders.count_flops`).

    Example:
        >>> told = describe(CPCModel((32, 32, 3), patch_encoder="tiny"), batch_size=64)
        >>> told.scores["down_2"]
        Scores(num_predictions=2240, num_candidates=3136, dim=64)
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: {batch_size}.")
    for kind, tell in KINDS.items():
        if isinstance(model, kind):
            facts, scores, parts = tell(model, batch_size)
            break
    else:
        names = ", ".join(kind.__name__ for kind in KINDS)
        raise ValueError(
            f"describe takes one of {names}. Received: {getattr(model, 'name', model)!r} of type "
            f"{type(model).__name__}."
        )
    trained = sum(math.prod(v.shape) for v in model.trainable_variables)
    encoder = model.encoder.count_params()
    return Description(
        facts=facts,
        scores=scores,
        parameters={"encoder": encoder, "all": model.network.count_params()},
        image_flops={
            name: round(times * count_flops(part)) for name, (part, times) in parts.items()
        },
        batch_size=batch_size,
        memory={
            "weights": BYTES * model.network.count_params(),
            "gradients": BYTES * trained,
            "optimizer": BYTES * trained * optimizer_slots,
            "activations": BYTES * _activation_numbers(model, parts, batch_size),
            "scores": BYTES * _score_numbers(model, scores.values()),
            **({"bank": BYTES * model.bank.count_params()} if hasattr(model, "bank") else {}),
        },
    )


def _cpc(model, batch_size):
    config = model.get_config()
    rows, columns = model.grid
    copies = 2 if config["independent_targets"] else 1
    scores = {}
    for direction in config["directions"]:
        # Grids turn: a row of "left" is a column of the image.
        h, w = (columns, rows) if direction in ("left", "right") else (rows, columns)
        for offset in config["offsets"]:
            predictions = batch_size * (h - offset) * w
            scores[f"{direction}_{offset}"] = Scores(
                min(predictions, model.info_nce.num_anchors or predictions),
                model.info_nce.num_candidates(batch_size, h, w, offset),
                model.network.output[f"{direction}_{offset}"].shape[-1],
            )
    size, stride = config["patch_size"], config["patch_stride"]
    code = model.patch_encoder.output_shape[-1]
    facts = {
        "images": "x".join(map(str, model.image_shape)),
        "patches": f"{rows}x{columns} of {size} pixels at stride {stride}",
        "code of a patch": f"{code} numbers",
        "features": f"{model.encoder.output_shape[-1]} numbers",
        "candidates": f"{model.info_nce.candidates!r}",
    }
    codes = keras.Input((rows, columns, code))
    turned = model.heads(codes, codes)
    parts = {
        "patch encoder": (model.patch_encoder, copies * rows * columns)
        if model.shared_encoder is None
        else (model.shared_encoder, copies),
        "context networks, predictions, targets": (keras.Model(codes, turned), 1),
    }
    return facts, scores, parts


def _pair(model, batch_size):
    dim = model.network.output["targets"].shape[-1]
    if model.get_config()["symmetric"]:
        scores = {"pair": Scores(2 * batch_size, model.info_nce.num_candidates(batch_size), dim)}
    else:
        scores = {"pair": Scores(batch_size, model.info_nce.num_candidates(batch_size, 1, 1), dim)}
    facts = {
        "images": "x".join(map(str, model.image_shape)),
        "pairs": type(model.views).__name__,
        "features": f"{model.encoder.output_shape[-1]} numbers",
        "candidates": f"{model.get_config()['candidates']!r}",
    }
    parts = {"encoder, both halves": (model.encoder, 2)}
    if model.head is not None:
        features = keras.Input(model.encoder.output_shape[1:])
        parts["head, both halves"] = (keras.Model(features, model.head(features)), 2)
    return facts, scores, parts


def _semi_supervised(model, batch_size):
    copies = model.network.output["logits"].shape[1]
    facts = {
        "images": "x".join(map(str, model.image_shape)),
        "classes": f"{model.num_classes}",
        "terms": ", ".join(
            ["cross_entropy"]
            + [f"{term.weight:g} {term.name}" for term in model.terms]
            + ([f"{model.task_weight:g} task of {copies} copies"] if model.views else [])
        ),
        "features": f"{model.encoder.output_shape[-1]} numbers",
    }
    parts = {"encoder and classifier": (model.classifier, copies)}
    for term in model.terms:
        # A step counts three passes of every part.
        if term.num_passes():
            parts[term.name] = (model.classifier, term.num_passes() / 3)
    return facts, {}, parts


def _pretext(model, batch_size):
    copies, classes = model.network.output["logits"].shape[1:]
    *hidden, _ = model.head.layers
    dim = hidden[-1].units if hidden else model.head.input_shape[-1]
    tiles = model.head.input_shape[-1] // model.tower.output_shape[-1]
    tile = "x".join(map(str, model.tower.input_shape[1:]))
    facts = {
        "images": "x".join(map(str, model.image_shape)),
        "task": f"{type(model.views).__name__}, {classes} classes",
        "tiles": f"{copies} x {tiles} an image, of {tile}",
        "features": f"{model.encoder.output_shape[-1]} numbers",
    }
    parts = {"encoder, all tiles": (model.tower, copies * tiles)}
    if hidden:
        codes = keras.Input(model.head.input_shape[1:])
        parts["head, all copies"] = (keras.Sequential([codes, *hidden]), copies)
    # The last layer: its inputs are compared with a vector of each class.
    return facts, {"task": Scores(batch_size * copies, classes, dim)}, parts


def _instance(model, batch_size):
    num_images, dim = model.bank.size, model.bank.dim
    negatives = model.get_config()["num_negatives"]
    facts = {
        "images": "x".join(map(str, model.image_shape)),
        "memory bank": f"{num_images:,} images of {dim} numbers",
        "features": f"{model.encoder.output_shape[-1]} numbers",
        "candidates": "the bank" if negatives is None else f"{negatives:,} drawn from the bank",
    }
    candidates = num_images if negatives is None else negatives + 1
    features = keras.Input(model.encoder.output_shape[1:])
    parts = {
        "encoder": (model.encoder, 1),
        "head": (keras.Model(features, model.head(features)), 1),
    }
    return facts, {"image": Scores(batch_size, candidates, dim)}, parts


KINDS = {
    CPCModel: _cpc,
    PairModel: _pair,
    PretextModel: _pretext,
    InstanceModel: _instance,
    SemiSupervisedModel: _semi_supervised,
}


def _activation_numbers(model, parts, batch_size):
    of_image = round(sum(times * count_activations(part) for part, times in parts.values()))
    chunk_size = model.get_config().get("chunk_size") or batch_size
    kept = min(chunk_size, batch_size) * of_image
    if chunk_size < batch_size:
        # What is put together of all chunks: predictions and targets, and the patches they are of.
        of_copy = math.prod(model.to_patches.outputs[0].shape[1:])
        of_copy *= 1 if model.shared_encoder is not None else math.prod(model.grid)
        patches = of_copy * len(model.to_patches.outputs)
        outputs = sum(math.prod(x.shape[1:]) for x in model.to_predictions.outputs)
        kept += batch_size * (patches + outputs)
    return kept


def _score_numbers(model, scores):
    whole = SCORE_COPIES * sum(s.num_predictions * s.num_candidates for s in scores)
    if not isinstance(model, CPCModel) or model.info_nce.candidates in GROUPED:
        return whole
    # A block of them at a time, and the predictions' gradients.
    return min(whole, SCORE_COPIES * BLOCK_SCORES) + sum(s.num_predictions * s.dim for s in scores)


def _short(number):
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:8.2f} {unit}"
    return f"{number:8.0f}  "


def _gib(number):
    return f"{number / 2**30:8.3f} GiB"
