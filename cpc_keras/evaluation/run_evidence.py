"""What a report knows of one run."""

import dataclasses

import numpy as np


@dataclasses.dataclass
class RunEvidence:
    """Everything that a run holds for its report; what it lacks is empty.

    Attributes:
        name: short, for legends and headings.
        results: what `results.json` holds: `summary`, `protocol`, `facts`, `settings`, `num_seeds`.
        histories: the rows of `metrics.csv` of each pre-training seed.
        iteration_curves: accuracy against pre-training, of each seed that has kept encoders: dicts
            with `epoch` or `step`, `accuracy` and perhaps `protocol`.
        pictures: what `run_pictures` gave.
        facts: further facts by name: commands, data, versions.
        config: `config.yaml` of the pre-training, as text.
        method: that trained the encoder, a name of `METHODS`.
    """

    name: str
    results: dict = dataclasses.field(default_factory=dict)
    histories: list[list[dict]] = dataclasses.field(default_factory=list)
    iteration_curves: list[list[dict]] = dataclasses.field(default_factory=list)
    pictures: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    config: str = ""
    method: str = "cpc"

    @property
    def summary(self) -> list[dict]:
        """The cells of `summarize`."""
        return self.results.get("summary", [])
