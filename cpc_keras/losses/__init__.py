"""Losses, and bounds of mutual information."""

from cpc_keras.losses.donsker_varadhan import donsker_varadhan
from cpc_keras.losses.entropy_minimization import EntropyMinimization
from cpc_keras.losses.info_nce import CANDIDATES, SIMILARITIES, InfoNCE
from cpc_keras.losses.info_nce_bound import info_nce_bound
from cpc_keras.losses.jensen_shannon import jensen_shannon
from cpc_keras.losses.noise_contrastive import noise_contrastive
from cpc_keras.losses.nt_xent import NTXent
from cpc_keras.losses.nwj import nwj
from cpc_keras.losses.pseudo_label import PseudoLabel
from cpc_keras.losses.unlabeled_term import UnlabeledTerm
from cpc_keras.losses.virtual_adversarial import VirtualAdversarial

__all__ = [
    "CANDIDATES",
    "SIMILARITIES",
    "EntropyMinimization",
    "InfoNCE",
    "NTXent",
    "PseudoLabel",
    "UnlabeledTerm",
    "VirtualAdversarial",
    "donsker_varadhan",
    "info_nce_bound",
    "jensen_shannon",
    "noise_contrastive",
    "nwj",
]
