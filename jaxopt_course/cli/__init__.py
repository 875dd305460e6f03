"""The shell: ``jaxopt-course race | fit | sweep | optimizers | problems``.

Compiled programs are kept in the user's cache folder (JAX's persistent compilation cache), so that a second run starts faster.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

import tyro

from jaxopt_course.cli.listing import optimizers, problems
from jaxopt_course.cli.sweeping import sweep
from jaxopt_course.cli.training import fit, race

__all__ = ["fit", "main", "optimizers", "problems", "race", "sweep"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 where nobody reads its output, 2 for bad input, 130 after Ctrl-C.

    Args:
        arguments: by default those of the process.
    """
    commands = {"race": race, "fit": fit, "sweep": sweep, "optimizers": optimizers, "problems": problems}
    own_process = arguments is None
    if own_process and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _Interrupt())
    try:
        status = tyro.extras.subcommand_cli_from_dict(commands, prog="jaxopt-course", description=__doc__, args=arguments)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has gone, as `head` does: nothing to say, and nothing more to flush at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
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


class _Interrupt:
    """Ctrl-C, which must not be lost: what is raised inside the code of others may be swallowed there.

    JAX has some bare ``except:`` in its tracing, and what is raised in its hook for garbage collection is ignored. So look a
    moment later how far the exception has come (a traceback's head is the outermost frame reached, the catching one included);
    unless that is our own code, raise it again.
    """

    PATIENCE = 0.1  # seconds

    def __init__(self):
        self.raised: KeyboardInterrupt | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        come_out = number != signal.SIGINT and self._has_come_out()
        self.raised = None
        if come_out:
            return
        if hasattr(signal, "setitimer"):  # not on Windows
            signal.signal(signal.SIGALRM, self)
            signal.setitimer(signal.ITIMER_REAL, self.PATIENCE)
            if frame is not None and frame.f_code.co_name == "_xla_gc_callback":  # Python would report it as ignored
                return
        self.raised = KeyboardInterrupt()
        raise self.raised

    def _has_come_out(self) -> bool:
        reached = self.raised and self.raised.__traceback__
        if not reached or not reached.tb_next:  # no farther than this handler
            return False
        return reached.tb_frame.f_globals.get("__name__", "").split(".")[0] == "jaxopt_course"
