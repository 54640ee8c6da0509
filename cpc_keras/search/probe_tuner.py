"""The tuner of the ready search."""

import os
import pathlib
import threading
import time

import keras
import keras_tuner

from cpc_keras.search.trials_table import last_line

# A worker tells so often that it lives; several times within the shortest sensible timeout.
BEAT_SECONDS = 2.0


class ProbeTuner(keras_tuner.Tuner):
    """Trains each trial into a run directory, says when one fails, and notices dead workers.

    keras-tuner marks a trial that raises as failed and goes on without a word; and its chief waits
    for ever for a worker that was killed. Here both are told: the trial is listed with its error,
    and the search ends.

    Args:
        oracle: a `keras_tuner.Oracle` with the objective "probe_accuracy".
        hypermodel: a `CPCHyperModel`.
        directory: of the search; each trial trains in `trials/ID` of it. Several machines need a
            directory that they share.
        worker_timeout: seconds without a sign of life after which the chief gives a worker up.

    Example:
        >>> oracle = keras_tuner.oracles.RandomSearchOracle(
        ...     keras_tuner.Objective("probe_accuracy", "max"), max_trials=2, seed=0
        ... )
        >>> hypermodel = CPCHyperModel((16, 16, 1))
        >>> ProbeTuner(oracle, hypermodel, directory="search").oracle.max_trials
        2
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: keras_tuner.HyperModel,
        *,
        directory: str | os.PathLike,
        worker_timeout: float = 120.0,
    ):
        self.worker_timeout = worker_timeout
        self.root = pathlib.Path(directory)
        super().__init__(
            oracle, hypermodel, directory=os.fspath(directory), project_name="keras_tuner"
        )
        self._stopped = threading.Event()

    @property
    def role(self) -> str:
        """One of "alone", "chief" and "worker", by keras-tuner's environment variables."""
        if "KERASTUNER_ORACLE_IP" not in os.environ:
            return "alone"
        return "chief" if "chief" in os.environ.get("KERASTUNER_TUNER_ID", "") else "worker"

    def run_trial(self, trial, images, labels, *, groups=None):
        """Train and probe one trial; a trial that was cut short goes on at its last epoch."""
        keras.backend.clear_session()
        model = self.hypermodel.build(trial.hyperparameters)
        return self.hypermodel.fit(
            trial.hyperparameters,
            model,
            images,
            labels,
            groups=groups,
            run_directory=self.root / "trials" / trial.trial_id,
        )

    def on_trial_end(self, trial):
        """Say that a trial failed, which keras-tuner keeps to itself."""
        if trial.message:
            print(f"Trial {trial.trial_id} failed: {last_line(trial.message)}", flush=True)
        super().on_trial_end(trial)

    def search(self, *fit_args, **fit_kwargs):
        """Run trials until there are `max_trials`; as chief, until all workers are done."""
        watch = {"chief": self._watch, "worker": self._beat}.get(self.role)
        thread = None
        if watch:
            thread = threading.Thread(target=watch, name=f"{self.role}-watch", daemon=True)
            thread.start()
        try:
            super().search(*fit_args, **fit_kwargs)
        finally:
            self._stopped.set()
            if thread:
                thread.join()

    def _sign(self, tuner_id):
        return self.root / "workers" / f"{tuner_id}.alive"

    def _beat(self):
        sign = self._sign(self.tuner_id)
        sign.parent.mkdir(parents=True, exist_ok=True)
        while True:
            sign.touch()
            if self._stopped.wait(BEAT_SECONDS):
                break
        sign.unlink(missing_ok=True)

    def _watch(self):
        # By the time of this clock at which a sign last changed: clocks of machines differ.
        seen = {}
        while not self._stopped.wait(BEAT_SECONDS):
            for tuner_id in list(self.oracle.tuner_ids):
                sign = self._sign(tuner_id)
                mark = sign.stat().st_mtime if sign.exists() else None
                if tuner_id not in seen or seen[tuner_id][0] != mark:
                    seen[tuner_id] = (mark, time.monotonic())
                elif time.monotonic() - seen[tuner_id][1] > self.worker_timeout:
                    self._give_up(tuner_id)
                    del seen[tuner_id]

    def _give_up(self, tuner_id):
        trial = self.oracle.ongoing_trials.get(tuner_id)
        if trial is not None:
            trial.status = "FAILED"
            trial.message = (
                f"The worker {tuner_id!r} gave no sign of life for {self.worker_timeout:g} seconds."
            )
            print(f"Trial {trial.trial_id} failed: {trial.message}", flush=True)
            self.oracle.end_trial(trial)
        # The chief ends when nobody is left to wait for.
        self.oracle.tuner_ids.discard(tuner_id)
