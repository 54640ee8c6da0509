"""The trials of a search as rows."""

from typing import Any


def trials_table(oracle: Any) -> list[dict[str, Any]]:
    """Make a table of all trials, the best first, then those that failed with their errors.

    Args:
        oracle: of a tuner (`tuner.oracle`).

    Returns:
        One dict a trial: "trial", "status" ("COMPLETED", "FAILED", "RUNNING", ...),
        "probe_accuracy" and "loss" (None where there is none), the hyperparameters that were
        active, and "error", the last line of what was raised.

    Example:
        >>> import keras_tuner
        >>> trials_table(keras_tuner.oracles.RandomSearchOracle(max_trials=1))
        []
    """
    rows = []
    for trial in oracle.trials.values():
        hp = trial.hyperparameters
        values = {item.name: hp.values.get(item.name) for item in hp.space if hp.is_active(item)}
        # Of the offsets only those of the patch are active: one column for all.
        active = {name.partition("_")[0] if "/" in name else name: v for name, v in values.items()}
        rows.append(
            {
                "trial": trial.trial_id,
                "status": trial.status,
                "probe_accuracy": _metric(trial, "probe_accuracy"),
                "loss": _metric(trial, "loss"),
                **active,
                "error": last_line(trial.message),
            }
        )
    return sorted(rows, key=lambda row: (-(row["probe_accuracy"] or -1.0), row["trial"]))


def last_line(message: str | None) -> str | None:
    """The line of a traceback that says what happened."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    return lines[-1] if lines else None


def _metric(trial, name):
    if not trial.metrics.exists(name):
        return None
    return trial.metrics.get_best_value(name)
