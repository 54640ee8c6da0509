"""Losses, and bounds of mutual information."""

from cpc_keras.losses.donsker_varadhan import donsker_varadhan
from cpc_keras.losses.info_nce import CANDIDATES, SIMILARITIES, InfoNCE
from cpc_keras.losses.info_nce_bound import info_nce_bound
from cpc_keras.losses.jensen_shannon import jensen_shannon
from cpc_keras.losses.noise_contrastive import noise_contrastive
from cpc_keras.losses.nt_xent import NTXent
from cpc_keras.losses.nwj import nwj

__all__ = [
    "CANDIDATES",
    "SIMILARITIES",
    "InfoNCE",
    "NTXent",
    "donsker_varadhan",
    "info_nce_bound",
    "jensen_shannon",
    "noise_contrastive",
    "nwj",
]
