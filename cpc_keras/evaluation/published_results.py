"""What the papers report, beside which own measurements stand."""

from typing import NamedTuple


class Published(NamedTuple):
    """One row of the published tables, in percent as printed; "" where nothing is.

    Attributes:
        title: the method, with its paper.
        top_1: ImageNet, linear classifier on frozen features.
        top_5: the same, top-5.
        labels_1: ImageNet with 1 % of the labels, top-5.
        labels_10: with 10 %.
        note: network, and what differs.
    """

    title: str
    top_1: str = ""
    top_5: str = ""
    labels_1: str = ""
    labels_10: str = ""
    note: str = ""


# By the name of the row; the order is that of the tables. Two numbers in one cell are of two
# networks or protocols.
PUBLISHED_RESULTS = {
    "supervised": Published(
        "Supervised",
        "59.3",
        "81.8",
        "44.10 / 48.43",
        "82.08 / 80.43",
        "AlexNet (linear); CPC v2's baseline / S4L's (labels)",
    ),
    # Measured only: what the encoders of images, and CPC's of patches, are worth untrained.
    "random": Published("Random encoder"),
    "random_patches": Published("Random encoder of patches"),
    "motion_segmentation": Published("Motion segmentation (Pathak 2017)", "27.6", "48.3"),
    "video": Published("Video (Wang & Gupta 2015)", "29.8"),
    "exemplar": Published("Exemplar (Dosovitskiy 2014)", "31.5", "53.1", "44.90", "81.01"),
    "relative_position": Published("Relative position (Doersch 2015)", "30.4 / 36.2", "59.2"),
    "colorization": Published("Colorization (Zhang 2016)", "35.2 / 39.6", "62.5"),
    "jigsaw": Published("Jigsaw (Noroozi & Favaro 2016)", "38.1"),
    "bigan": Published("BiGAN (Donahue 2016)", "34.8"),
    "rotation": Published(
        "Rotation (Gidaris 2018)", "55.4", "", "45.11", "78.53", "RevNet-50 x4 (linear)"
    ),
    "combination": Published(
        "MS + Ex + RP + Col (Doersch & Zisserman 2017)", "", "69.3", "", "", "ResNet-101"
    ),
    "instance_discrimination": Published(
        "Instance discrimination (Wu 2018)", "", "", "39.20", "77.40"
    ),
    "cpc_v1": Published("CPC v1 (van den Oord 2018)", "48.7", "73.6", "", "", "ResNet-101 v2"),
    "cpc_v2": Published(
        "CPC v2 (Henaff 2019)",
        "61.0 / 71.5",
        "83.0 / 90.1",
        "64.03",
        "84.88 / 91.2",
        "ResNet-170: first version / ResNet-161: later ones",
    ),
    "cpc": Published("CPC, defaults of this package"),
    "cpc_pair": Published("CPC of pairs (McAllester & Stratos 2018)"),
    "simclr": Published("SimCLR (Chen 2020)", "69.3", "", "", "", "ResNet-50"),
    "pseudo_label": Published("Pseudo-label (Lee 2013)", "", "", "51.56", "82.41", "as S4L ran it"),
    "vat": Published("VAT (Miyato 2018)", "", "", "44.05", "82.78", "as S4L ran it"),
    "vat_entropy": Published("VAT + entropy (Miyato 2018)", "", "", "46.96", "83.39", "by S4L"),
    "uda": Published("UDA (Xie 2019)", "", "", "", "88.52"),
    "rotation_joint": Published("S4L-Rotation (Zhai 2019)", "", "", "53.37", "83.82"),
    "exemplar_joint": Published("S4L-Exemplar (Zhai 2019)", "", "", "47.02", "83.72"),
    "moam": Published(
        "S4L-MOAM (Zhai 2019)", "", "", "", "91.23", "last of three steps: 88.80, 89.96, 91.23"
    ),
}
