"""Search for settings by what the features are worth; needs the extra "search" (keras-tuner)."""

try:
    import keras_tuner  # noqa: F401
    import tensorboard  # noqa: F401
except ImportError as error:
    # Without TensorBoard keras-tuner would import and then fail every single trial.
    raise ImportError(
        f"cpc_keras.search: {error}. Expected keras-tuner and tensorboard. Run: pip install "
        '"cpc-keras[search]"'
    ) from error

from cpc_keras.search.cpc_hyper_model import CPCHyperModel
from cpc_keras.search.patch_geometries import patch_geometries
from cpc_keras.search.probe_score import PROBES, probe_score
from cpc_keras.search.run_search import ORACLES, run_search
from cpc_keras.search.trials_table import trials_table

__all__ = [
    "ORACLES",
    "PROBES",
    "CPCHyperModel",
    "patch_geometries",
    "probe_score",
    "run_search",
    "trials_table",
]
