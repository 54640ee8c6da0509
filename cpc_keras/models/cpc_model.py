"""Contrastive predictive coding as one Keras model."""

from collections.abc import Sequence

import keras
from keras import ops

from cpc_keras.augmentations import patch_augmentation as named_patch_augmentation
from cpc_keras.encoders import image_encoder, shared_encoder
from cpc_keras.encoders import patch_encoder as checked_patch_encoder
from cpc_keras.layers import OffsetPrediction, PatchGrid
from cpc_keras.layers import context_network as checked_context_network
from cpc_keras.layers.dtype_scope import dtype_scope
from cpc_keras.losses import InfoNCE
from cpc_keras.models.check_arguments import (
    check_augmentation,
    check_directions,
    check_offsets,
    checked_image_augmentation,
    checked_image_shape,
)
from cpc_keras.models.check_images import check_images
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.ops import DIRECTIONS, grid_shape, in_chunks, rotate_grid, take_rows

ENCODINGS = ("patches", "shared")
FEATURES = ("codes", "contexts")

# How a prediction is compared with a code, as arguments of `InfoNCE`; see `CPCModel`.
SCORES = {
    "projected": {"similarity": "dot", "scale": 0.1},
    "bilinear": {"similarity": "dot", "scale": 1.0},
    "cosine": {"similarity": "cosine", "scale": 10.0},
}

# The direction whose rotation undoes a rotation.
OPPOSITE_TURN = {"left": "right", "right": "left"}


@keras.saving.register_keras_serializable("cpc_keras")
class CPCModel(PretrainingModel):
    """Learns image features without labels by contrastive predictive coding.

    An image is cut into a grid of overlapping patches; each is encoded alone; a masked context
    network summarises the rows above; and from the context of row r the patch in row r + offset is
    told from other patches (InfoNCE), in up to four directions (van den Oord et al. 2018,
    arXiv:1807.03748; Henaff et al. 2019, arXiv:1905.09272). Train it as any Keras model, on images
    alone; then use `encoder`.

    `fit` and `evaluate` take images `[batch, height, width, channels]`, uint8 or float in [0, 255],
    as an array or a batched `tf.data.Dataset`, bare, as `(image, label)` pairs or as dicts with the
    key "image". Labels are ignored. They log `loss` (the mean over all directions and offsets of
    the mean InfoNCE, nats, and what regularizers of your own encoder add), `accuracy` (share of
    predictions that rank the true patch first, ties count as wrong) and `mutual_information`
    (ln N - InfoNCE, nats).

    Attributes:
        encoder: functional `keras.Model`, images to features, of stock layers alone.
        patch_encoder: `keras.Model`, patches to codes.
        context_network: the context network that all directions share; with
            `shared_context=False` a dict of one for each direction.
        info_nce: the `InfoNCE` loss.
        image_shape: `(height, width, channels)`.
        grid: rows and columns of patches.

    Args:
        image_shape: `(height, width, channels)`; sides must give a whole grid of patches.
        patch_encoder: a name (`encoders.PATCH_ENCODERS`: "mlp", "tiny", "small", "resnet50", ...)
            or any `keras.Model` from patches `[batch, patch_size, patch_size, channels]`, pixels in
            [0, 255], to codes.
        encoder_width: channels of the first stage of "tiny" and "small", codes of "mlp"; by default
            the encoder's own, see `encoders.patch_encoder`.
        encoder_depth: residual blocks of each stage of "tiny" and "small".
        patch_size: side of a patch, in pixels.
        patch_stride: step between patches, in pixels.
        offsets: how many rows (columns) ahead to predict. An offset whose patches share pixels with
            the patch they are predicted from, `offset * patch_stride < patch_size`, is refused.
        directions: any of "down", "up", "left", "right": where the predicted patch lies.
        score: how a prediction `W_k c` from a context is compared with a code z:
            "projected" (CPC v2): inner product with a projection of z to `target_dim`, times 0.1;
            "bilinear" (CPC v1, equation 3): `z^T W_k c`, without a projection;
            "cosine": cosine with the projection, divided by a temperature of 0.1.
        target_dim: length of the projected codes that are compared. CPC v2: 64. Not used by
            `score="bilinear"`.
        scale: factor on the scores, the inverse of a temperature, in place of the score's own.
        candidates: which patches of the batch are told from the true one; see `InfoNCE`.
        num_negatives: with `candidates="sampled"`: how many.
        num_anchors: score so many predictions of each direction and offset, drawn anew each step;
            by default all.
        gather_candidates: whether candidates come from all replicas of a `tf.distribute` strategy,
            so that the loss does not depend on how the batch is cut; see `InfoNCE`.
        context_network: "masked" (CPC v2), "gated_pixel_cnn" (CPC v1's kind), "row_gru", or a
            layer; see `layers.context_network`.
        context_blocks: residual blocks of a named context network. CPC v2: 5.
        context_filters: channels inside them. CPC v2: 256.
        shared_context: whether all directions share one context network. The papers do not say.
        normalization: of the named encoders: "group" (one group), "layer" or "none"; by default the
            encoder's own, see `encoders.patch_encoder`.
        encoding: "patches", each patch for itself, or "shared": the same codes, of a patch encoder
            without padding ("valid"), in one pass over the image, in which no pixel is encoded
            twice. It gives up what is done to patches one by one: `patch_augmentation` must be
            `None`, and `image_augmentation` takes its place.
        features: what `encoder` pools: "codes" (each patch alone, as the papers do on images) or
            "contexts" (the context network's output of all directions, side by side; they see
            beyond the patch and are, with four directions, four times as long).
        pooling: how the grid becomes features: "mean", "max" or a coarse grid such as "3x3".
        patch_augmentation: layer applied to each patch alone in training, a name of
            `augmentations.patch_augmentation` ("light", "cpc_v1", "cpc_v2") or `None`.
        image_augmentation: layer applied to whole images in training, before they are cut, or a
            name of `augmentations.image_augmentation`.
        independent_targets: take the patches that are predicted from a second, independently
            augmented copy of the image. What `image_augmentation` changes (pose, say) can then not
            be predicted, and the features need not tell it. Not in the papers, where only patches
            are augmented one by one; on digits, features of the same training were worth two
            points more, with one seed (docs/cpc_choices.md).
        allow_overlap: accept offsets that share pixels with their context.
        chunk_size: encode so many images at a time in training, and once more for the gradients
            (gradient caching, Gao et al. 2021, arXiv:2101.06983): memory is then that of a batch of
            `chunk_size` and the codes, for a third more time, with the same candidates, loss and
            gradients. Unlike gradients accumulated over small batches it takes no candidate away.
            By default the whole batch.
        log_terms: also log `accuracy` and `mutual_information` of every direction and offset
            (`accuracy_down_2`, ...), and the accuracy among the patches of the same row and of the
            same position alone (`accuracy_same_row`, `accuracy_same_position`): position is a cheap
            cue, and what remains of the accuracy without it tells more. It costs further scores.
        seed: integer, for what a named augmentation and the loss draw.

    Raises:
        ValueError: sides that give no whole grid, a grid too small for the offsets, overlapping
            offsets, unknown names, a patch encoder that does not fit or normalises over the batch.

    Example:
        >>> model = CPCModel((32, 32, 3), patch_encoder="tiny")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
        >>> _ = model.fit(np.random.randint(0, 256, (64, 32, 32, 3), "uint8"), verbose=0)
        >>> model.encoder.predict(np.zeros((2, 32, 32, 3)), verbose=0).shape
        (2, 64)
    """

    layer_arguments = (
        "patch_encoder",
        "context_network",
        "patch_augmentation",
        "image_augmentation",
    )
    bounds_information = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        patch_encoder: str | keras.Model = "small",
        encoder_width: int | None = None,
        encoder_depth: int | None = None,
        patch_size: int = 8,
        patch_stride: int = 4,
        offsets: Sequence[int] = (2, 3, 4),
        directions: Sequence[str] = DIRECTIONS,
        score: str = "projected",
        target_dim: int = 64,
        scale: float | None = None,
        candidates: str = "all",
        num_negatives: int | None = None,
        num_anchors: int | None = None,
        gather_candidates: bool = True,
        context_network: str | keras.layers.Layer = "masked",
        context_blocks: int | None = None,
        context_filters: int | None = None,
        shared_context: bool = True,
        normalization: str | None = None,
        encoding: str = "patches",
        features: str = "codes",
        pooling: str = "mean",
        patch_augmentation: str | keras.layers.Layer | None = "cpc_v2",
        image_augmentation: str | keras.layers.Layer | None = None,
        independent_targets: bool = False,
        allow_overlap: bool = False,
        chunk_size: int | None = None,
        log_terms: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.image_shape = checked_image_shape(image_shape)
        self.grid = grid_shape(
            self.image_shape[:2], patch_size=patch_size, patch_stride=patch_stride
        )
        offsets, directions = tuple(offsets), tuple(directions)
        check_directions(directions)
        check_offsets(offsets, directions, self.grid, patch_size, patch_stride, allow_overlap)
        self._config = {
            "image_shape": self.image_shape,
            "patch_encoder": patch_encoder,
            "encoder_width": encoder_width,
            "encoder_depth": encoder_depth,
            "patch_size": patch_size,
            "patch_stride": patch_stride,
            "offsets": offsets,
            "directions": directions,
            "score": score,
            "target_dim": target_dim,
            "scale": scale,
            "candidates": candidates,
            "num_negatives": num_negatives,
            "num_anchors": num_anchors,
            "gather_candidates": gather_candidates,
            "context_network": context_network,
            "context_blocks": context_blocks,
            "context_filters": context_filters,
            "shared_context": shared_context,
            "normalization": normalization,
            "encoding": encoding,
            "features": features,
            "pooling": pooling,
            "patch_augmentation": patch_augmentation,
            "image_augmentation": image_augmentation,
            "independent_targets": independent_targets,
            "allow_overlap": allow_overlap,
            "chunk_size": chunk_size,
            "log_terms": log_terms,
            "seed": seed,
        }
        self.patch_encoder = checked_patch_encoder(
            patch_encoder,
            patch_shape=(patch_size, patch_size, self.image_shape[-1]),
            normalization=normalization,
            width=encoder_width,
            depth=encoder_depth,
        )
        if encoding not in ENCODINGS:
            raise ValueError(f"encoding must be one of {ENCODINGS}. Received: {encoding!r}.")
        self.shared_encoder = self._share_encoder() if encoding == "shared" else None
        if features not in FEATURES:
            raise ValueError(f"features must be one of {FEATURES}. Received: {features!r}.")
        if score not in SCORES:
            raise ValueError(f"score must be one of {tuple(SCORES)}. Received: {score!r}.")
        # Called, since a subclassed model has no `output_shape`.
        codes = self.patch_encoder(keras.Input((patch_size, patch_size, self.image_shape[-1])))
        self.context_network = self._build_contexts(codes.shape[-1])
        self.encoder = self.image_encoder(self.image_shape)
        self.info_nce = InfoNCE(
            **{**SCORES[score], **({} if scale is None else {"scale": scale})},
            candidates=candidates,
            num_negatives=num_negatives,
            num_anchors=num_anchors,
            gather_candidates=gather_candidates,
            seed=seed,
        )
        # Keras tracks generators of layers, not of losses; untracked, JAX would draw the same.
        self.loss_seed_generator = self.info_nce.seed_generator
        # The order decides where Keras's files keep the weights: `network` comes first.
        self.network, self.to_patches, self.to_predictions = self._build_network(
            patch_augmentation, image_augmentation
        )
        if chunk_size is not None:
            self._check_chunks()
        self.terms = tuple(f"{d}_{k}" for d in directions for k in offsets)
        # What a step's terms were, for who wants to know which one went wrong (`StopAtNaN`).
        self.term_losses = self.add_weight(
            (len(self.terms),), "zeros", trainable=False, name="term_losses", aggregation="mean"
        )
        self.averages = {name: keras.metrics.Mean(name=name) for name in self._average_names()}
        self.built = True

    def _share_encoder(self):
        config = self._config
        if config["patch_augmentation"] is not None:
            raise ValueError(
                'encoding="shared" encodes images, and there are no patches to augment. Received: '
                f"patch_augmentation={config['patch_augmentation']!r}. Pass None, and an "
                "image_augmentation, such as augmentations.image_augmentation(...)."
            )
        return shared_encoder(
            self.patch_encoder,
            image_shape=self.image_shape,
            patch_size=config["patch_size"],
            patch_stride=config["patch_stride"],
        )

    def _build_contexts(self, dim):
        config = self._config
        network, directions = config["context_network"], config["directions"]
        sizes = {"num_blocks": config["context_blocks"], "filters": config["context_filters"]}
        if isinstance(network, str):
            # Smaller than the papers', as the default encoder is.
            defaults = {"num_blocks": 3, "filters": 128}
            sizes = {k: defaults[k] if v is None else v for k, v in sizes.items()}

        def build(name):
            shape = (*self.grid, dim)
            return checked_context_network(network, codes_shape=shape, name=name, **sizes)

        if config["shared_context"]:
            return build("context_network")
        if not isinstance(network, str):
            raise ValueError(
                "shared_context=False makes one context network for each direction, and so needs "
                f"the name of one. Received the layer {network.name!r}, which can only be shared."
            )
        return {direction: build(f"context_{direction}") for direction in directions}

    def _context_of(self, direction):
        shared = self._config["shared_context"]
        return self.context_network if shared else self.context_network[direction]

    def _build_network(self, patch_augmentation, image_augmentation):
        config = self._config
        size, stride = config["patch_size"], config["patch_stride"]
        if isinstance(patch_augmentation, str):
            patch_augmentation = named_patch_augmentation(
                patch_augmentation, (size, size, self.image_shape[-1]), seed=config["seed"]
            )
        check_augmentation("patch_augmentation", patch_augmentation)
        image_augmentation = checked_image_augmentation(
            image_augmentation,
            self.image_shape,
            # Far from the seeds that the layers of a patch augmentation count up from.
            seed=None if config["seed"] is None else config["seed"] + 1000,
        )
        if config["independent_targets"] and image_augmentation is None:
            raise ValueError(
                "independent_targets=True predicts patches of a second augmented copy of an image, "
                "and there is no image_augmentation that would tell the two apart. Pass one."
            )
        images = keras.Input(self.image_shape, dtype="float32", name="images")
        patch_grid = PatchGrid(size, stride, name="patch_grid")

        def encode(x):
            if image_augmentation is not None:
                x = image_augmentation(x)
            if tuple(x.shape[1:]) != self.image_shape:
                raise ValueError(
                    "image_augmentation must keep the shape of the images, "
                    f"{self.image_shape}. Received one that makes it {tuple(x.shape[1:])}: resize "
                    "or crop the data instead."
                )
            if self.shared_encoder is not None:
                patches.append(x)
                return self.shared_encoder(x)
            x = patch_grid(x)
            # Patches go into the batch axis: each is augmented and encoded alone.
            x = ops.reshape(x, (-1, *x.shape[3:]))
            if patch_augmentation is not None:
                x = patch_augmentation(x)
            patches.append(x)
            codes = self.patch_encoder(x)
            return ops.reshape(codes, (-1, *self.grid, codes.shape[-1]))

        patches = []
        codes = encode(images)
        self.heads = self._build_heads(codes.shape[-1])
        target_codes = encode(images) if config["independent_targets"] else codes
        outputs = self.heads(codes, target_codes)
        network = keras.Model(images, outputs, name="network")
        # The same network in two parts: what is drawn at random, and what is computed of it.
        to_patches = keras.Model(images, patches, name="to_patches")
        to_predictions = keras.Model(patches, outputs, name="to_predictions")
        return network, to_patches, to_predictions

    def _check_chunks(self):
        chunk_size = self._config["chunk_size"]
        if int(chunk_size) != chunk_size or chunk_size < 1:
            raise ValueError(f"chunk_size must be 1 or more images. Received: {chunk_size!r}.")
        for layer in self.to_predictions._flatten_layers():
            if layer._seed_generators:
                raise ValueError(
                    f"chunk_size runs the encoder twice, and {layer.name!r} would draw at random "
                    "anew the second time. Take it out of the encoder and the context network, or "
                    "use chunk_size=None."
                )

    def _build_heads(self, code_dim):
        """The function from a grid of codes, and one of target codes, to what `call` returns."""
        offsets = self._config["offsets"]
        if self._config["score"] == "bilinear":
            dim = code_dim
            project = keras.layers.Activation("linear", name="targets")
        else:
            dim = self._config["target_dim"]
            project = keras.layers.Dense(dim, name="targets")
        # The last rows predict nothing that lies in the grid: their contexts are not computed.
        skipped = min(offsets)
        predict = {
            d: OffsetPrediction(offsets, target_dim=dim, skipped_rows=skipped, name=f"predict_{d}")
            for d in self._config["directions"]
        }

        def heads(codes, target_codes):
            outputs = {"targets": project(target_codes)}
            contexts = self._contexts(codes, self._context_of, skipped_rows=skipped)
            for direction, context in contexts.items():
                predictions = predict[direction](context)
                for offset, prediction in zip(offsets, predictions, strict=True):
                    outputs[f"{direction}_{offset}"] = prediction
            return outputs

        return heads

    def image_encoder(
        self,
        image_shape: tuple[int, int, int],
        *,
        pooling: str | None = None,
        dense: bool = False,
        return_grid: bool = False,
    ) -> keras.Model:
        """Build the encoder for another image size, with the same weights.

        Args:
            image_shape: `(height, width, channels)`.
            pooling: as in the constructor, whose choice is the default.
            dense: run the patch encoder once over the whole image, not patch by patch: faster,
                and other features; see `encoders.image_encoder`. Features of codes alone.
            return_grid: also return the grid that is pooled, as in `{"features", "grid"}`.

        Returns:
            Functional `keras.Model`, images to features.
        """
        config = self._config
        with dtype_scope(self.dtype_policy):
            return image_encoder(
                self.patch_encoder,
                image_shape=checked_image_shape(image_shape),
                patch_size=config["patch_size"],
                patch_stride=config["patch_stride"],
                pooling=pooling or config["pooling"],
                summarize=self._context_features if config["features"] == "contexts" else None,
                dense=dense,
                encoding=config["encoding"],
                return_grid=return_grid,
            )

    def _contexts(self, codes, context_of, *, skipped_rows=0):
        """Contexts by direction, in its frame, without the last `skipped_rows` rows."""
        turned = {d: rotate_grid(codes, d) for d in self._config["directions"]}
        return {
            d: context_of(d)(take_rows(grid, 0, grid.shape[1] - skipped_rows))
            for d, grid in turned.items()
        }

    def _context_features(self, codes):
        """Contexts of all directions side by side, `[batch, rows, columns, directions * d]`."""
        # `call`, not the layer itself: the graph then consists of the stock layers inside, and
        # loads where this package is not installed.
        contexts = [
            rotate_grid(context, OPPOSITE_TURN.get(direction, direction))
            for direction, context in self._contexts(
                codes, lambda d: self._context_of(d).call
            ).items()
        ]
        return ops.concatenate(contexts, axis=-1) if len(contexts) > 1 else contexts[0]

    def call(self, inputs, training=False):
        """Return targets and predictions of a batch of images.

        Args:
            inputs: images, or a dict that holds them under "image".
            training: whether augmentations are on.

        Returns:
            Dict: "targets" `[batch, rows, columns, target_dim]`, and for each direction and offset
            "down_2" and so on: predictions, in the frame that is rotated so that the direction
            points down (`ops.rotate_grid`), `[batch, rows - offset, columns, target_dim]`.
        """
        images = inputs["image"] if isinstance(inputs, dict) else inputs
        if training and self._config["chunk_size"] is not None:
            return self._call_in_chunks(images)
        return self.network(images, training=training)

    def _call_in_chunks(self, images):
        patches = self.to_patches(images, training=True)
        patches = patches if isinstance(patches, list) else [patches]
        # All copies of an image's patches side by side, so that a chunk has whole images.
        per_image = 1 if self.shared_encoder is not None else self.grid[0] * self.grid[1]
        patches = [ops.reshape(x, (-1, per_image, *x.shape[1:])) for x in patches]
        patches = ops.stack(patches, axis=1)
        names = sorted(self.to_predictions.output)
        fixed = [v.value for v in self.to_predictions.non_trainable_variables]
        of_weights = sum(v.regularizer is not None for v in self.to_predictions.trainable_variables)

        def predict(weights, chunk):
            copies = [
                ops.reshape(chunk[:, n], (-1, *chunk.shape[3:])) for n in range(chunk.shape[1])
            ]
            outputs, _, losses = self.to_predictions.stateless_call(
                weights, fixed, copies, training=True, return_losses=True
            )
            if len(losses) > of_weights:
                raise ValueError(
                    "chunk_size keeps the codes of a chunk and not what layers add to the loss. "
                    "Received an encoder or a context network with activity_regularizer or "
                    "add_loss. Take it out, regularize weights, or use chunk_size=None."
                )
            return [outputs[name] for name in names]

        outputs = in_chunks(
            predict,
            patches,
            [v.value for v in self.to_predictions.trainable_variables],
            chunk_size=self._config["chunk_size"],
        )
        return dict(zip(names, outputs, strict=True))

    def _average_names(self):
        names = ["accuracy", "mutual_information"]
        if self._config["log_terms"]:
            names += [f"{name}_{term}" for term in self.terms for name in names[:2]]
            names += ["accuracy_same_row", "accuracy_same_position"]
        return names

    def _method_loss(self, x, y, y_pred, sample_weight, training):
        """The mean InfoNCE over all directions and offsets."""
        config = self._config
        predictions = {
            (direction, offset): y_pred[f"{direction}_{offset}"]
            for direction in config["directions"]
            for offset in config["offsets"]
        }
        loss, terms = self.info_nce.contrast_grid(
            y_pred["targets"], predictions, with_gradient=training
        )
        found = {name: [] for name in self.averages}
        for (direction, offset), term in terms.items():
            seen = {
                "accuracy": ops.mean(term.correct),
                "mutual_information": ops.mean(term.log_num_candidates - term.loss),
            }
            for key, value in seen.items():
                found[key].append(value)
                if config["log_terms"]:
                    found[f"{key}_{direction}_{offset}"].append(value)
            if config["log_terms"]:
                targets = rotate_grid(y_pred["targets"], direction)
                for kind in ("same_row", "same_position"):
                    correct = self._hits_among(kind, targets, predictions[direction, offset])
                    found[f"accuracy_{kind}"].append(correct)
        batch = ops.shape(y_pred["targets"])[0]
        for name, values in found.items():
            self.averages[name].update_state(_mean(values), sample_weight=batch)
        self.term_losses.assign(ops.stack([ops.mean(term.loss) for term in terms.values()]))
        return self._share_of_replica(loss)

    def _hits_among(self, candidates, targets, predictions):
        shared = ("scale", "similarity", "gather_candidates")
        likewise = {k: getattr(self.info_nce, k) for k in shared}
        predictions = ops.stop_gradient(predictions)
        contrast = InfoNCE(**likewise, candidates=candidates).contrast(targets, predictions)
        return ops.mean(contrast.correct)

    def _check_data(self, x, y, batch_size):
        # How many images give every prediction a second candidate. Grids turn: a row of "left" is
        # a column of the image.
        rows, columns = self.grid
        widths = [rows if d in ("left", "right") else columns for d in self._config["directions"]]
        alone = {"same_position": True, "other_images": True, "same_row": min(widths) == 1}
        smallest_batch = 2 if alone.get(self._config["candidates"]) else 1
        x = check_images(
            x, self.image_shape, batch_size=batch_size or 32, smallest_batch=smallest_batch
        )
        return x, y


def _mean(terms):
    return sum(terms) / len(terms)
