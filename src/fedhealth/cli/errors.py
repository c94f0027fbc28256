"""Known errors, and being stopped, end a command with one plain line and an exit code, without a traceback."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

import typer


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print what a user can act on; let programming errors through."""
    from fedhealth.data.files import DataError, printable
    from fedhealth.federation.aggregation import TooFewAnswers
    from fedhealth.federation.norms import NormExceeded
    from fedhealth.federation.training import OneLabel
    from fedhealth.keys import KeyProblem
    from fedhealth.monitoring.settings import SettingError
    from fedhealth.privacy import AuditError, PolicyError, PolicyRefusal
    from fedhealth.privacy.secure_aggregation import SecureAggregationError
    from fedhealth.registry import BundleError
    from fedhealth.runtime.journal import JournalError
    from fedhealth.study import StudyError

    known = (AuditError, BundleError, DataError, NormExceeded, OneLabel, PolicyError, PolicyRefusal, StudyError)
    others = (JournalError, KeyProblem, SecureAggregationError, SettingError, TooFewAnswers, OSError)
    try:
        yield
    except (*known, *others) as error:
        refuse(printable(str(error)))


def refuse(reason: str, code: int = 1) -> Never:
    """Leave with one line on standard error and the exit code ``code``."""
    typer.secho(f"Error: {reason}", fg="red", err=True)
    raise typer.Exit(code) from None


@contextmanager
def polite_end() -> Iterator[None]:
    """Ctrl-C and SIGTERM end a command with one line, after it has ended its own processes."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)
        raise typer.Exit(130) from None
