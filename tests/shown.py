"""What a terminal shows after all that it was sent: just enough of one for the control characters that progress uses."""

from __future__ import annotations

import re

TOKEN = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")


def screen(sent: str, columns: int) -> list[str]:
    """The lines of the screen, without colours; a line that is too long goes on in the next."""
    lines, row, column = [""], 0, 0
    for token in TOKEN.finditer(sent):
        number, command = token.group(1), token.group(2)
        if command == "A":
            row = max(0, row - int(number or 1))
        elif command == "K":
            lines[row] = "" if number == "2" else lines[row][:column]
        elif token.group() == "\r":
            column = 0
        elif token.group() == "\n":
            row, column = row + 1, 0
        elif command is None:
            for character in token.group():
                if column == columns:
                    row, column = row + 1, 0
                while len(lines) <= row:
                    lines.append("")
                line = lines[row].ljust(column)
                lines[row] = line[:column] + character + line[column + 1 :]
                column += 1
        while len(lines) <= row:
            lines.append("")
    return [line.rstrip() for line in lines]
