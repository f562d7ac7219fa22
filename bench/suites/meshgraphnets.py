"""MeshGraphNets (Pfaff et al. 2021, arXiv:2010.03409): root mean square error after 1 and 50 steps and over the whole rollout.

    mse_n_steps = mean over the first n predicted frames, all nodes and axes, of the squared error, then over rollouts
    rmse_n      = its root, for n = 1, 50 and all

of positions [m] where the mesh moves, of velocities [m/s] where it stands still. The former are what cloth_eval.py and cfd_eval.py
print, the latter what the paper's table 1 has; whether there the root or the mean over rollouts is taken first is not said, and
here it is the mean. All nodes count: driven ones of a moving mesh with no error, as the script moves them (the suite's rollout
leaves them where they were); those at the boundary of a flow as the model has them (the suite's rollout holds them).
Two frames are seen, and the last of the file is not scored.
"""

from __future__ import annotations

from torch import Tensor

from ...contracts import Trajectory
from ._suite import Suite, Values, errors, means

HORIZONS = (1, 10, 20, 50, 100, 200)
ROOTED = (1, 50)


def of_rollout(truth: Trajectory, predicted: Trajectory, stride: int) -> Values:
    """The numbers of one rollout."""
    square = _squares(truth, predicted)
    found = means(square, HORIZONS, "mse") | {"rmse_all": float(square.mean())}
    steps = {f"{name}_steps" if name.startswith("mse") else name: value for name, value in found.items()}
    return steps | {f"rmse_{n}": found[f"mse_{n}"] for n in ROOTED if f"mse_{n}" in found}


def _squares(truth: Trajectory, predicted: Trajectory) -> Tensor:
    """Mean squared error of each frame: of velocities when no node of the truth moves, else of positions."""
    if bool((truth.position == truth.position[:1]).all()):
        return (predicted.velocity.double() - truth.velocity.double()).square().mean((1, 2))
    return errors(truth, predicted).square().mean((1, 2))


SUITE = Suite(
    name="meshgraphnets",
    version="2021",
    source="Pfaff et al. 2021, arXiv:2010.03409; cloth_eval.py, cfd_eval.py and table 1",
    definitions={
        **{
            f"mse_{n}_steps": f"squared error, mean over the first {n} frames, all nodes, axes, then rollouts"
            for n in HORIZONS
        },
        **{
            f"rmse_{n}": f"root of the mean squared error over the first {n} frames, all nodes, axes, rollouts"
            for n in ROOTED
        },
        "rmse_all": "root of the mean squared error over all frames, nodes, axes, rollouts",
    },
    of_rollout=of_rollout,
    rooted=(*(f"rmse_{n}" for n in ROOTED), "rmse_all"),
)
