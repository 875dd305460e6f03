"""The shell: ``jaxopt-course race | fit | sweep | optimizers | problems``.

Compiled programs are kept in the user's cache folder (JAX's persistent compilation cache), so that a second run starts faster.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

import tyro

from jaxopt_course.cli.listing import optimizers, problems
from jaxopt_course.cli.sweeping import sweep
from jaxopt_course.cli.training import fit, race

__all__ = ["fit", "main", "optimizers", "problems", "race", "sweep"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 2 for bad input, 130 after Ctrl-C.

    Args:
        arguments: by default those of the process.
    """
    commands = {"race": race, "fit": fit, "sweep": sweep, "optimizers": optimizers, "problems": problems}
    own_process = arguments is None
    if own_process and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)
    try:
        return tyro.extras.subcommand_cli_from_dict(commands, prog="jaxopt-course", description=__doc__, args=arguments)
    except KeyboardInterrupt as stop:
        print(f"interrupted: {stop}" if str(stop) else "interrupted", file=sys.stderr)
        if own_process:  # XLA's threads may be at work: taking the interpreter down under them can end in a crash
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)
        return 130
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        if os.environ.get("JAXOPT_COURSE_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2


def _interrupt(number: int, frame: Any) -> None:
    """Ctrl-C, which must not be lost: what is raised inside JAX's hook for garbage collection is ignored, so try again."""
    if frame is not None and frame.f_code.co_name == "_xla_gc_callback" and hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        raise KeyboardInterrupt
