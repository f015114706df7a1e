"""A terminal with somebody at it, for a program that is told so.

Argument: a JSON object with the program and its arguments (`program`), its whole environment
(`environment`) and the folder it is started in (`folder`). Then, a line of standard input each:

- {"until": TEXT}: waits until TEXT is written after what was awaited last; yields what was written up to it.
- {"type": KEYS}: types.
- {"modes": true}: yields how the terminal is set.
- {"signal": NAME}: sends the program a signal.
- {"end": true}: waits for the end; yields exit code, modes, everything that was written (`raw`)
  and what a person would have seen of it (`screen`).

Each is answered by one line of JSON; {"failed": ...} says what did not happen within the time.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PATIENCE = 30
CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def screen(raw):
    """The lines that a terminal would show, of the few controls that programs here use."""
    lines, row, column, at = [""], 0, 0, 0
    while at < len(raw):
        control = CONTROL.match(raw, at)
        if control:
            number, what = control.groups()
            count = int(number) if number.isdigit() else 0
            if what == "K":
                lines[row] = {0: lines[row][:column], 1: " " * column + lines[row][column:], 2: ""}[count]
            elif what == "J":
                lines[row] = lines[row][:column]
                del lines[row + 1 :]
            elif what == "A":
                row = max(0, row - (count or 1))
            elif what == "B":
                row = min(len(lines) - 1, row + (count or 1))
            elif what == "C":
                column += count or 1
            elif what == "D":
                column = max(0, column - (count or 1))
            elif what == "G":
                column = (count or 1) - 1
            at = control.end()
            continue
        character = raw[at]
        at += 1
        if character == "\r":
            column = 0
        elif character == "\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif character == "\b":
            column = max(0, column - 1)
        elif character >= " ":
            line = lines[row].ljust(column)
            lines[row] = line[:column] + character + line[column + 1 :]
            column += 1
    return lines


class Terminal:
    def __init__(self, program, environment, folder):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.raw, self.mark, self.code = b"", 0, None
        self.process = os.fork()
        if self.process == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(self.slave, number)
            os.closerange(3, 256)
            os.chdir(folder)
            os.execve(program[0], program, environment)

    def read(self, time_left):
        readable, _, _ = select.select([self.master], [], [], max(0, time_left))
        if readable:
            self.raw += os.read(self.master, 65536)
        return bool(readable)

    def text(self):
        return self.raw.decode("utf-8", "replace")

    def until(self, awaited):
        end = time.monotonic() + PATIENCE
        awaited = awaited.encode()
        while (found := self.raw.find(awaited, self.mark)) < 0:
            if not self.read(end - time.monotonic()) and time.monotonic() > end:
                return {"failed": f"no {awaited!r} in {self.raw[self.mark:]!r}"}
        before, self.mark = self.mark, found + len(awaited)
        return {"seen": self.raw[before : self.mark].decode("utf-8", "replace")}

    def modes(self):
        now = termios.tcgetattr(self.slave)
        local = {name: bool(now[3] & getattr(termios, name)) for name in ("ECHO", "ICANON", "ISIG")}
        return {**local, "as_before": now == self.before}

    def ended(self):
        end = time.monotonic() + PATIENCE
        while True:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                break
            if time.monotonic() > end:
                os.kill(self.process, signal.SIGKILL)
                return {"failed": f"it did not end after {self.text()!r}"}
            self.read(0.02)
        while self.read(0):
            pass
        self.process = None
        return {
            "code": os.waitstatus_to_exitcode(status),
            "modes": self.modes(),
            "raw": self.text(),
            "screen": screen(self.text()),
        }


def play(terminal, step):
    if "until" in step:
        return terminal.until(step["until"])
    if "type" in step:
        os.write(terminal.master, step["type"].encode())
    elif "signal" in step:
        os.kill(terminal.process, getattr(signal, "SIG" + step["signal"]))
    elif "modes" in step:
        return terminal.modes()
    elif "end" in step:
        return terminal.ended()
    return {}


terminal = Terminal(**json.loads(sys.argv[1]))
try:
    for line in sys.stdin:
        print(json.dumps(play(terminal, json.loads(line))), flush=True)
finally:
    if terminal.process:
        os.kill(terminal.process, signal.SIGKILL)
