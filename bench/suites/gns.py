"""DeepMind's particle sets (Sanchez-Gonzalez et al. 2020, arXiv:2002.09405): errors of one step and of the whole film.

    one_step_position_mse = mean over all windows of 6 + 1 frames, nodes and axes of the squared position error [m²]
    rollout_mse           = mean over frames, nodes and axes of a rollout from the first 6 frames, then over rollouts [m²]

As learning_to_simulate/train.py has them: kinematic nodes are averaged in (here their error is zero, as the script moves them; in
its one-step evaluation the network does), and the last frame of a film is scored by windows but by no rollout.
"""

from __future__ import annotations

from ...contracts import Model, Trajectory
from ._suite import Suite, Values, errors, one_step

PAST = 6


def of_rollout(truth: Trajectory, predicted: Trajectory, stride: int) -> Values:
    """The number of one rollout."""
    return {"rollout_mse": float(errors(truth, predicted).square().mean())}


def of_steps(model: Model, film: Trajectory) -> tuple[Values, int]:
    """The number of all windows of a film, and how many values it is the mean of."""
    found = one_step(model, film, PAST)
    return {"one_step_position_mse": float(found.mean())}, found.numel() * film.scene.n_nodes


SUITE = Suite(
    name="gns",
    version="2020",
    source="Sanchez-Gonzalez et al. 2020, arXiv:2002.09405; learning_to_simulate/train.py",
    definitions={
        "one_step_position_mse": "squared position error [m²] one frame after 6, mean over all windows, nodes, axes",
        "rollout_mse": "squared position error [m²], mean over frames, nodes, axes of a rollout, then over rollouts",
    },
    of_rollout=of_rollout,
    of_steps=of_steps,
)
