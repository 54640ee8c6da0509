"""What a checkpoint holds beside model and optimizer."""

import keras
import numpy as np


def seed_generators(model: keras.Model) -> list[keras.random.SeedGenerator]:
    """Return the seed generators of a model and all its layers, in one order."""
    return [
        generator
        for layer in model._flatten_layers(include_self=True)
        for generator in layer._seed_generators
    ]


def has_state(callback: keras.callbacks.Callback) -> bool:
    """Whether a callback gives its state and takes it back."""
    return hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")


class RunState:
    """Takes and gives back all that decides how a run goes on, beside weights and optimizer.

    These are the averages of metrics in the epoch so far, the states of the seed generators, and
    the state of callbacks that have `state_dict()` and `load_state_dict(state)`. What draws from
    elsewhere than a `keras.random.SeedGenerator` of a layer is not resumed.

    Args:
        callbacks: those of the run.
        facts: further facts that go into every checkpoint, of JSON's types.
    """

    def __init__(self, callbacks, facts: dict | None = None):
        self.facts = dict(facts or {})
        self._callbacks = {}
        for callback in callbacks:
            if has_state(callback):
                name = type(callback).__name__
                number = sum(key.split("/")[0] == name for key in self._callbacks)
                self._callbacks[f"{name}/{number}"] = callback

    def take(self, model: keras.Model, **facts) -> dict:
        """Return the state, for `save_checkpoint`, with facts of this checkpoint."""
        return {
            "facts": {**self.facts, **facts},
            "metrics": [_array(v) for v in model.metrics_variables],
            "seeds": [_array(generator.state) for generator in seed_generators(model)],
            "callbacks": {name: c.state_dict() for name, c in self._callbacks.items()},
        }

    def give_callbacks(self, state: dict) -> None:
        """Give callbacks the state that they had; new ones keep theirs."""
        for name, callback in self._callbacks.items():
            if name in state["callbacks"]:
                callback.load_state_dict(state["callbacks"][name])

    @staticmethod
    def give_model(model: keras.Model, state: dict) -> None:
        """Give metrics and seed generators the state that they had within an epoch."""
        generators = [generator.state for generator in seed_generators(model)]
        for variable, value in (
            *zip(model.metrics_variables, state["metrics"], strict=True),
            *zip(generators, state["seeds"], strict=True),
        ):
            variable.assign(value)


def _array(variable):
    value = variable.value
    if hasattr(value, "read_value"):
        value = value.read_value()  # a strategy's, which is kept by replica: their sum
    return np.asarray(keras.ops.convert_to_numpy(value))
