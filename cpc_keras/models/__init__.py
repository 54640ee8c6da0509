"""The user's doors."""

from cpc_keras.models.cpc_model import CPCModel
from cpc_keras.models.describe import Description, describe
from cpc_keras.models.instance_model import InstanceModel
from cpc_keras.models.pair_model import PairModel
from cpc_keras.models.pretext_model import PretextModel
from cpc_keras.models.pretraining_model import PretrainingModel
from cpc_keras.models.semi_supervised_model import SemiSupervisedModel
from cpc_keras.models.start_from import start_from, trained_on

__all__ = [
    "CPCModel",
    "Description",
    "InstanceModel",
    "PairModel",
    "PretextModel",
    "PretrainingModel",
    "SemiSupervisedModel",
    "describe",
    "start_from",
    "trained_on",
]
