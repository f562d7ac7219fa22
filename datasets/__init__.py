"""Recipe to trajectories to verified HDF5 shards, and back to windows on a device.

generate → out/DOMAIN/{dataset.json, manifest.jsonl, stats.json, costs.jsonl, train-00000-of-00001.h5, …}
verify     proves a folder sound, or says what is wrong with it
load       reads a whole split as one batch; Windows cuts training windows from it on its device
events     the simulator's labels of a split; siblings says which of its trajectories share a start, and how they differ
"""

from ._cluster import EXECUTORS as EXECUTORS
from ._cluster import executor as executor
from ._describe import describe as describe
from ._estimate import Estimate as Estimate
from ._estimate import estimate as estimate
from ._film import Sibling as Sibling
from ._film import events as events
from ._film import load as load
from ._film import load_one as load_one
from ._film import read as read
from ._film import save as save
from ._film import siblings as siblings
from ._generate import generate as generate
from ._generate import seconds as seconds
from ._manifest import manifest_hash as manifest_hash
from ._pool import Workers as Workers
from ._pool import worth_starting as worth_starting
from ._regenerate import Regenerated as Regenerated
from ._regenerate import drawn_at_random as drawn_at_random
from ._regenerate import regenerate as regenerate
from ._statistics import FieldStatistics as FieldStatistics
from ._statistics import Statistics as Statistics
from ._statistics import statistics as statistics
from ._stored import StoredWindows as StoredWindows
from ._verify import Problem as Problem
from ._verify import verify as verify
from ._windows import Windows as Windows
