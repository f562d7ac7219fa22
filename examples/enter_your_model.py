# %% [markdown]
# # Enter your own model
#
# A model is anything with a card that continues a film. Here: every particle flies on under gravity and
# meets nothing but the floor of its box. Percent format: opens as a notebook in VS Code and (with jupytext)
# in Jupyter, and runs as a script.

# %%
from dataclasses import dataclass
from pathlib import Path

import hedgefox as hf
from hedgefox.contracts import Frame, Script
from hedgefox.contracts.model import place_driven

HERE = Path("enter_your_model")


@dataclass(frozen=True)
class State:
    """What one step needs: the scene (walls, gravity, parameters) and the positions and velocities of now."""

    scene: hf.Scene
    frame: Frame


class FallsToTheFloor(hf.Stepper[State]):
    """x' = x + v Δt + g Δt²/2, v' = v + g Δt; what would be below the floor lies on it."""

    card = hf.ModelCard(
        name="falls_to_the_floor",
        kind="baseline",
        objective="none",
        learning_algorithm="none",
        architecture="uniform acceleration, inelastic floor",
        domains=("fluid",),
        history=1,
    )

    def encode(self, past: hf.Trajectory) -> State:
        """The last frame is all that it reads."""
        return State(past.scene, past.frame(-1))

    def advance(self, state: State, script: Script) -> State:
        """One frame on."""
        scene, now, dt = state.scene, state.frame, state.scene.frame_interval
        gravity = scene.gravity[scene.node_scene]
        position = now.position + dt * now.velocity + dt**2 / 2 * gravity
        velocity = now.velocity + dt * gravity
        floor = (scene.bounds + script.box_offset[1].unsqueeze(1))[scene.node_scene, 0, -1]
        below = position[:, -1] < floor
        position[:, -1] = position[:, -1].maximum(floor)
        velocity[below, -1] = 0.0
        return State(scene, place_driven(Frame(position, velocity), scene, script))

    def decode(self, state: State) -> Frame:
        """A film's frame."""
        return state.frame


# %% [markdown]
# Before it is scored it is checked, as a model in a file is: shapes, scripts, determinism, batches, the
# order of nodes, no frame seen that its card does not state, and an answer that changes with the state.
# What fails is explained in a sentence or two.

# %%
data = hf.generate("fluid", "smoke", HERE / "data")
scores = hf.score([FallsToTheFloor(), "constant_velocity", "persistence", "sph-dx2"], data, HERE / "scores")
hf.show(scores)

# %% [markdown]
# A card that claims to be the simulator is refused, and told why.

# %%
try:
    hf.score(
        type("Cheat", (FallsToTheFloor,), {"card": hf.ModelCard("sph", "reference", "-", "-", "-", ("fluid",))})(), data
    )
except hf.MisuseError as error:
    hf.show(str(error))

# %% [markdown]
# Where does it go wrong? Watch it beside the truth.

# %%
film, past = data.film("test"), hf.domain("fluid").recipe("xs").past
truth = film.frames(past)
answer = FallsToTheFloor().rollout(film.frames(0, past), truth.n_frames)
hf.show(hf.play(truth, answer, names=["sph", "falls_to_the_floor"], colour="error"))

# %% [markdown]
# For a board that others can repeat, put the class into a file and give the file: `hf.score("my_model.py",
# data, out)`. The record then holds the file's SHA-256.
