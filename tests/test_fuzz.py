"""Malformed files of every kind that hedgefox reads: each ends in one line or in a reading, within bounds, and runs nothing.

What is read is what `fuzz_child.KINDS` names. The files are drawn from numbers, so a finding is a kind and a number. `make test`
reads a fixed sample; the long test reads CASES of them and prints the table of outcomes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from .fuzz_hdf5 import lookup3

CHILD = Path(__file__).with_name("fuzz_child.py")
CASES = 10_500
SAMPLE = 6
"""Cases of each kind in the plain suite."""
FINE = ("read", "refused", "refused: the probe died")
Outcome = dict[str, Any]


def asked(home: Path, wanted: Sequence[tuple[str, int, int]], timeout: float) -> dict[str, list[Outcome]]:
    """What came of each case, by kind; a process that dies is begun again behind the case that killed it."""
    found: dict[str, list[Outcome]] = {name: [] for name, _, _ in wanted}
    left = list(wanted)
    while left:
        said, end = _asked(home, left, timeout)
        current: str | None = None
        for line in said.splitlines():
            if line.startswith("begin "):
                current = line.removeprefix("begin ")
            elif current is not None:
                found[current.rpartition(":")[0]].append(json.loads(line) | {"case": current})
                current = None
        if end == 0:
            return found
        assert current is not None or said, f"the reader ended with {end} before its first case"
        if current is None:
            raise AssertionError(f"the reader ended with {end} between two cases: {said[-500:]}")
        name, _, number = current.rpartition(":")
        found[name].append({"outcome": _death(end), "case": current, "text": "", "seconds": 0.0, "peak_mib": 0})
        at = next(k for k, (other, _, _) in enumerate(left) if other == name)
        left = [(name, int(number) + 1, left[at][2]), *left[at + 1 :]]
    return found


def _asked(home: Path, wanted: Sequence[tuple[str, int, int]], timeout: float) -> tuple[str, int]:
    command = [sys.executable, str(CHILD), str(home), *(f"{name}:{a}:{b}" for name, a, b in wanted)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    return said, process.returncode


def _death(code: int) -> str:
    if code in (-signal.SIGPROF, -signal.SIGALRM, -signal.SIGKILL):
        return "hang"
    return f"crash ({signal.Signals(-code).name})" if code < 0 else f"ended with {code}"


def table(found: Mapping[str, Sequence[Outcome]]) -> str:
    """Outcomes by kind of file, as Markdown."""
    counts = {name: Counter(o["outcome"] for o in outcomes) for name, outcomes in found.items()}
    columns = [*FINE, *sorted({o for c in counts.values() for o in c} - set(FINE))]
    rows = [f"| file | cases | {' | '.join(columns)} | longest [s] |", "|" + "---|" * (len(columns) + 3)]
    for name, outcomes in found.items():
        cells = " | ".join(str(counts[name][c]) for c in columns)
        rows.append(f"| {name} | {len(outcomes)} | {cells} | {max(o['seconds'] for o in outcomes):.1f} |")
    total = " | ".join(str(sum(c[o] for c in counts.values())) for o in columns)
    rows.append(f"| all | {sum(map(len, found.values()))} | {total} | |")
    return "\n".join(rows)


def require_fine(found: Mapping[str, Sequence[Outcome]]) -> None:
    """No case ended in anything but a reading or a refusal in one line."""
    bad = [o for outcomes in found.values() for o in outcomes if o["outcome"] not in FINE]
    assert not bad, f"{len(bad)} bad outcomes; the first: " + "\n".join(map(str, bad[:20])) + "\n" + table(found)


def kinds() -> list[str]:
    from .fuzz_child import KINDS

    return list(KINDS)


def test_a_sample_of_malformed_files(tmp_path: Path) -> None:
    found = asked(tmp_path, [(name, 0, SAMPLE) for name in kinds()], timeout=250)
    require_fine(found)
    assert all(len(outcomes) == SAMPLE for outcomes in found.values())


@pytest.mark.long
def test_ten_thousand_malformed_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = kinds()
    each = -(-CASES // len(names))
    found = asked(tmp_path, [(name, 0, each) for name in names], timeout=3500)
    with capsys.disabled():
        print("\n" + table(found))
    require_fine(found)
    assert sum(map(len, found.values())) >= 10_000
    # A damaged shard is never opened: whatever was changed, the manifest does not name those bytes.
    assert all(o["outcome"] == "refused" or o["unchanged"] for o in found["shard"])


def test_checksums_of_hdf5_metadata_are_made_right() -> None:
    # Values from Jenkins' own driver.
    assert lookup3(b"") == 0xDEADBEEF
    assert lookup3(b"Four score and seven years ago") == 0x17770551


def test_a_reader_that_dies_is_blamed_on_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import json, os, sys\n"
        "for asked in sys.argv[2:]:\n"
        "    name, first, stop = asked.split(':')\n"
        "    for k in range(int(first), int(stop)):\n"
        "        print(f'begin {name}:{k}', flush=True)\n"
        "        if (name, k) == ('b', 1): os.abort()\n"
        "        print(json.dumps({'outcome': 'read', 'seconds': 0.0}), flush=True)\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "CHILD", script)
    found = asked(tmp_path, [("a", 0, 2), ("b", 0, 3)], timeout=60)
    assert [o["outcome"] for o in found["a"]] == ["read", "read"]
    assert [o["outcome"] for o in found["b"]] == ["read", "crash (SIGABRT)", "read"]
    with pytest.raises(AssertionError, match="1 bad outcomes"):
        require_fine(found)
