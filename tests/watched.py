"""Command lines in a pseudo-terminal, as a process of its own: python watched.py FOLDER; commands and answers are lines of JSON.

A command: {"words": [...], "columns": 80, "env": {...}, "piped": false, "signal": [NAME, TEXT]}; the signal is sent when the
text has been shown. Piped, stdout is a pipe and stderr the terminal. An answer: {"code", "shown", "out", "left"}: the exit code,
what the terminal was sent, what the pipe was, and whether processes were left over.

Each command is a fork of this process, which has imported everything. Its domain `ballistic` takes time, so that there is progress.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path
from typing import Any

import hedgefox.bench.run
import hedgefox.datasets  # noqa: F401
import torch
from hedgefox import cli, simulators
from hedgefox.bench import environment
from hedgefox.commands import _progress

DOMAIN = """
import time
from hedgefox.tests.ballistic import Ballistic
class Slow(Ballistic):
    def simulate(self, *arguments, **more):
        time.sleep(0.15)
        return super().simulate(*arguments, **more)
DOMAIN = Slow()
"""
ENOUGH = 60.0
"""Seconds after which a command counts as hanging."""


def main(folder: Path) -> None:
    (folder / "ballistic.py").write_text(DOMAIN)
    simulators.__path__.append(str(folder))
    _progress.PATIENCE = _progress.TICK = 0.05
    code = environment.source_hash()
    environment.source_hash = lambda: code
    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(carried_out(json.loads(line))), flush=True)


def carried_out(command: dict[str, Any]) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os._exit(child(command, reader, writer))
    os.close(writer)
    shown, out = watched(pid, terminal, reader, command.get("signal"))
    status = os.waitpid(pid, 0)[1]
    for descriptor in (terminal, reader):
        os.close(descriptor)
    return {"code": os.waitstatus_to_exitcode(status), "shown": shown, "out": out, "left": left_over(pid)}


def child(command: dict[str, Any], reader: int, writer: int) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.close(reader)
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, command.get("columns", 80), 0, 0))
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        os.environ.pop(name, None)
    os.environ |= {"TERM": "xterm-256color", **command.get("env", {})}
    if command.get("piped"):
        os.dup2(writer, 1)
    os.close(writer)
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(descriptor, "w" if descriptor else "r", buffering=1)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    return cli.main(command["words"])


def watched(pid: int, terminal: int, reader: int, sent: list[str] | None) -> tuple[str, str]:
    """What the terminal and the pipe were sent until both were closed."""
    held, until = {terminal: b"", reader: b""}, time.monotonic() + ENOUGH
    waiting = set(held)
    while waiting:
        if time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
        for descriptor in select.select(list(waiting), [], [], 0.05)[0]:
            try:
                got = os.read(descriptor, 1 << 16)
            except OSError:  # a terminal whose last process has ended
                got = b""
            held[descriptor] += got
            if not got:
                waiting.discard(descriptor)
        if sent is not None and sent[1].encode() in held[terminal]:
            os.killpg(pid, getattr(signal, f"SIG{sent[0]}"))
            sent = None
    shown, out = (held[d].decode(errors="replace") for d in (terminal, reader))
    return shown, out


def left_over(group: int) -> int:
    """Processes of a command's group that are still there a moment later."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except OSError:
            return 0
        time.sleep(0.05)
    return 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
