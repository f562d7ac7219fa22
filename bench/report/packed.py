"""Assets kept deflated, as scripts: a page from disk may load scripts and no data, and a report is to be small.

`assets/packed.js` loads them when they are needed. Base 85 has neither quotes nor backslashes, and a quarter more bytes than
what it holds.
"""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

from .. import record as records

NOTICE = re.compile(r"/\*.*?\*/", re.DOTALL)


def write(assets: Path, name: str, deflated: bytes, notice: str = "") -> None:
    """Write what is deflated already as the script NAME.js; names hold letters, digits and `_.-/` alone."""
    text = base64.b85encode(deflated).decode()
    records.write_text(assets / f"{name}.js", f'{notice}HedgefoxPacked("{name}","{text}");\n')


def write_script(assets: Path, name: str, source: str) -> None:
    """Deflate a script and write it; the notice at its head, whose it is and under which licence, stays readable."""
    found = NOTICE.match(source.lstrip())
    write(assets, name, zlib.compress(source.encode(), 9), f"{found.group()}\n" if found else "")
