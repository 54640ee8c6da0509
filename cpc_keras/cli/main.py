"""The `cpc-keras` command: its group, and how errors and Ctrl-C end it."""

import importlib
import io
import logging
import os
import shlex
import signal
import sys

import click

from cpc_keras.version import __version__

COMMANDS = {
    "demo": "Pre-train on MNIST-5k, export, and measure what it is worth.",
    "data": "Look at images before they are used: what is there, unreadable, or there twice.",
    "pretrain": "Pre-train an encoder on images without labels.",
    "search": "Search settings whose features are worth most, alone or with workers.",
    "describe": "Tell what a model is and what a step of its training costs.",
    "evaluate": "Measure what pre-trained encoders are worth with few labels.",
    "finetune": "Train a pre-trained encoder with a classifier on labels.",
    "tables": "Compare methods with one budget, beside the published numbers.",
    "embed": "Write names and features of all images of a folder, on one machine or on many.",
    "report": "Write one page about a run, or about several runs beside each other.",
    "export": "Write a run's newest checkpoint as one directory for Keras (3.7 or later) and more.",
    "presets": "List the encoders that come with the package, and what they are worth.",
}

# Errors that are raised with a message that says what to do.
SAID = (ValueError, TypeError, OSError, ImportError, FloatingPointError, RuntimeError)
# What these do goes on with the same command; the first ones save before they end.
RESUMABLE = {"demo", "pretrain"}
GOES_ON = {*RESUMABLE, "evaluate", "tables", "search", "embed"}


class _Terminated(BaseException):
    """SIGTERM came, and what could be saved was."""


class LazyGroup(click.Group):
    """Loads a sub-command when it is called: Keras takes seconds to import, `--help` should not."""

    def list_commands(self, ctx):
        """Names of the sub-commands."""
        return list(COMMANDS)

    def get_command(self, ctx, name):
        """Import the sub-command's module."""
        if name not in COMMANDS:
            return None
        # The classes that a run's files name; see `cpc_keras/__init__.py`.
        importlib.import_module("cpc_keras.methods")
        return getattr(importlib.import_module(f"cpc_keras.cli.{name}"), name)

    def format_commands(self, ctx, formatter):
        """List the sub-commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"show_default": True})
@click.version_option(__version__)
def cli():
    """Contrastive predictive coding on Keras: image features without labels."""


def main() -> None:
    """Run the command; exit with 0, 1 (an error, said in one line), 2 (usage) or 130 (Ctrl-C).

    SIGTERM, as schedulers send it, ends a command that can be resumed with 0.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files need not be in the terminal's encoding, and are told all the same.
            stream.reconfigure(errors="backslashreplace")
    # Networks predict sets of many sizes; TensorFlow's advice on retracing would cut the bars up.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    again, before = "", None
    if GOES_ON & set(sys.argv[1:2]):
        again = f" To go on where it stopped: {shlex.join(['cpc-keras', *sys.argv[1:]])}"
    if RESUMABLE & set(sys.argv[1:2]):
        before = signal.signal(signal.SIGTERM, _terminate)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nStopped.{again}", err=True)
        sys.exit(130)
    except _Terminated:
        click.echo(f"\nStopped by SIGTERM.{again}")
        sys.exit(0)
    except SAID as error:
        if os.environ.get("CPC_KERAS_TRACEBACK"):
            raise
        click.echo(f"Error: {error}\n(CPC_KERAS_TRACEBACK=1 shows where.)", err=True)
        sys.exit(1)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _terminate(number, frame):
    raise _Terminated


if __name__ == "__main__":
    main()
