"""The bound of the mutual information on held-out images, while training."""

import keras
import numpy as np

from cpc_keras.training.held_out_probe import HeldOutProbe


class MutualInformation(HeldOutProbe):
    """Logs `val_mutual_information`, in nats: ln N - loss on held-out images, term by term.

    For each direction and offset of a `CPCModel` its own, `val_mutual_information_down_2` and so
    on, and `val_mutual_information`, their mean; for pairs of images that alone. Far offsets are
    harder: where only the nearest carries information, the model tells textures rather than
    things.

    ln N - loss is a lower bound of the mutual information of context and target where the
    candidates are independent draws and the images were not trained on (van den Oord et al. 2018,
    arXiv:1807.03748, equation 5 and appendix A.1), else a meter. It cannot exceed ln N, and N grows
    with the batch: compare figures of the same `batch_size` alone.

    What the loss draws (sampled candidates, the two views of a pair) is the same at each
    measurement, and training's own draws are left as they were.

    Args:
        images: `[n, height, width, channels]`, in [0, 255], at least one batch; of the last, which
            may not be full, none are used.
        batch_size: images that are told apart.
        every: epochs from one measurement to the next.

    Raises:
        ValueError: fewer images than a batch, or a model without InfoNCE.

    Example:
        >>> images = np.random.randint(0, 256, (8, 16, 16, 1), "uint8")
        >>> small = {"patch_encoder": "mlp", "context_blocks": 1, "patch_augmentation": None}
        >>> model = CPCModel((16, 16, 1), offsets=(2,), directions=("down",), **small)
        >>> model.compile(optimizer="adam")
        >>> monitor = MutualInformation(images, batch_size=4)
        >>> history = model.fit(images, verbose=0, callbacks=[monitor]).history
        >>> history["val_mutual_information_down_2"] == history["val_mutual_information"]
        True
    """

    def __init__(self, images: np.ndarray, *, batch_size: int = 64, every: int = 1):
        super().__init__(images, every=every, batch_size=batch_size)
        if len(images) < batch_size:
            raise ValueError(
                f"MutualInformation tells the images of whole batches apart. Received "
                f"{len(images)} images for batches of {batch_size}: give more, or a smaller "
                "batch_size."
            )

    def set_model(self, model):
        """Take the model that is trained."""
        super().set_model(model)
        if not hasattr(model, "info_nce"):
            raise ValueError(
                f"MutualInformation: {type(model).__name__} has no InfoNCE loss (`info_nce`), so "
                "there is no bound to log. Expected a CPCModel or a PairModel."
            )

    def measure(self) -> dict[str, float]:
        """Return the bounds of all terms, and their mean."""
        generators = self._generators()
        before = [keras.ops.convert_to_numpy(g.state.value).copy() for g in generators]
        states = np.random.SeedSequence(0).generate_state(2 * len(generators)).reshape(-1, 2)
        for generator, state in zip(generators, states, strict=True):
            generator.state.assign(state.astype(generator.state.dtype))
        try:
            found = [self._bounds(start) for start in self._starts()]
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.state.assign(state)
        means = {term: float(np.mean([bounds[term] for bounds in found])) for term in found[0]}
        logged = {f"val_mutual_information_{term}": value for term, value in means.items() if term}
        return {"val_mutual_information": float(np.mean(list(means.values()))), **logged}

    def _starts(self):
        return range(0, len(self._images) - self._batch_size + 1, self._batch_size)

    def _generators(self):
        generators = [
            generator
            for layer in self.model._flatten_layers(include_self=True)
            for generator in layer._seed_generators
        ]
        own = getattr(self.model.info_nce, "seed_generator", None)
        if own is not None and all(own is not generator for generator in generators):
            generators.append(own)
        return generators

    def _bounds(self, start):
        batch = np.asarray(self._images[start : start + self._batch_size], "float32")
        outputs = self.model.network(batch, training=False)
        info_nce = self.model.info_nce
        if "predictions" in outputs:
            terms = {"": info_nce.contrast(outputs["targets"], outputs["predictions"])}
        else:
            names = {(d, int(k)): f"{d}_{k}" for d, k in (t.split("_") for t in self.model.terms)}
            predictions = {key: outputs[name] for key, name in names.items()}
            _, found = info_nce.contrast_grid(outputs["targets"], predictions, with_gradient=False)
            terms = {names[key]: term for key, term in found.items()}
        return {
            name: float(keras.ops.mean(term.log_num_candidates - term.loss))
            for name, term in terms.items()
        }
