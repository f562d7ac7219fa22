r"""How far nodes are from where they should be when nothing had to be predicted: the position RMSE of a reconstruction.

Every true frame is encoded and decoded by the model itself, without its dynamics, so no predictor can be expected to do better
with this encoder and this decoder. What a rollout errs beyond it is the dynamics' share. Only for models that `reconstruct`.
"""

from __future__ import annotations

from .position_rmse import BETTER as BETTER
from .position_rmse import DOMAINS as DOMAINS
from .position_rmse import UNIT as UNIT
from .position_rmse import curve as curve

VERSION = 1
JUDGES = "reconstruction"
