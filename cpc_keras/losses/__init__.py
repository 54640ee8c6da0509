"""Losses."""

from cpc_keras.losses.info_nce import CANDIDATES, InfoNCE

__all__ = ["CANDIDATES", "InfoNCE"]
