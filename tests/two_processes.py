"""What each process of a distributed training does in its test, started by torch.distributed.run."""

import sys
from pathlib import Path

import torch
from hedgefox.jepa import jepa
from hedgefox.surrogates import _processes, _store
from hedgefox.tests.test_jepa import TINY, run_of


def main(out: Path, choice: str) -> None:
    """Train a small generalist and keep its weights."""
    with _processes.together(torch.device("cpu")):
        model = jepa.train(run_of(out / "work", steps=40), **{**TINY, "anti_collapse": choice})
        if _processes.place() == 0:
            _store.save(model.eval(), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
