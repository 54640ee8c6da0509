"""SIGTERM and Ctrl-C end training after the step, with a checkpoint."""

import signal
import threading


class SignalStop:
    """Holds SIGTERM and SIGINT back until what is being done has been saved.

    Within the block a signal is noted; whoever trains looks at `requested` after each step, saves,
    and calls `leave()`, which lets the signal do what it would have done: end the process, raise
    `KeyboardInterrupt`, or call the handler of before. A second signal is not held back. Only the
    main thread of a process can do so; in others the block does nothing.

    Attributes:
        requested: number of the signal that came, or `None`.

    Example:
        >>> with SignalStop() as stop:
        ...     stop.requested is None
        True
    """

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self):
        self.requested: int | None = None
        self._before = {}

    def __enter__(self):
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                # A shell has children in the background ignore Ctrl-C; so it stays.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, error_type, error, traceback):
        """Bring the handlers back, and pass on a signal that nobody has taken up."""
        self._restore()
        if error_type is None and self.requested is not None:
            self.leave()

    def leave(self) -> None:
        """Let the signal do what it would have done."""
        number, self.requested = self.requested, None
        self._restore()
        signal.raise_signal(number)

    def _note(self, number, frame):
        if self.requested is not None:
            self.leave()
        self.requested = number

    def _restore(self):
        while self._before:
            signal.signal(*self._before.popitem())
