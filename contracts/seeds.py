"""Where randomness comes from: every trajectory has its own stream, whatever was made before it or beside it."""

from __future__ import annotations

import zlib

import numpy as np


def stream(root_seed: int, domain: str, split: str, index: int, variant: int = 0) -> np.random.Generator:
    """Random numbers of scene `index` of a split: SeedSequence(root, spawn_key=(domain, split, index)), by name.

    A sibling's variation has its own: the key then ends in its `variant`, 1 or more.
    """
    key = (zlib.crc32(domain.encode()), zlib.crc32(split.encode()), index, *([variant] if variant else []))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(root_seed, spawn_key=key)))
