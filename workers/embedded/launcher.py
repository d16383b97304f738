"""Becomes another program that the kernel ends when this one's parent ends. Imports nothing of hanmill.

Called as `python -I -S launcher.py PARENT_PID COMMAND…`. A program of its own and not a `preexec_fn`, because Python
code between fork and exec can deadlock in a parent that has threads (a progress display has one). The pid stays the
same over the exec, and so does the death signal. Where the kernel knows no death signal (macOS), what a killed parent
left behind is ended by the next run, see `run_file`.
"""

import ctypes
import os
import signal
import sys

#: From Linux's `sys/prctl.h`: ask for a signal when the parent thread ends.
PR_SET_PDEATHSIG = 1
#: The shell's exit status for a command that cannot be found or run.
EXIT_NOT_FOUND = 127


def main(arguments: list[str]) -> None:
    """Ask for the death signal, then become the command; exits with 127 when it cannot be run."""
    parent_pid, command = int(arguments[0]), arguments[1:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have ended before the request above; then no signal would ever come.
    if os.getppid() != parent_pid:
        sys.exit(f"the process {parent_pid} that started this one has ended")
    try:
        os.execvp(command[0], command)  # noqa: S606 - the caller's command, and no shell wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        sys.exit(EXIT_NOT_FOUND)


if __name__ == "__main__":
    main(sys.argv[1:])
