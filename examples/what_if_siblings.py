# %% [markdown]
# # What if? Siblings
#
# Trajectories of one start that differ in exactly one thing: a parameter, or the script of what is driven.
# They ask of a model what a single film cannot: does its answer change with the cause, and by as much as
# the truth does? Percent format: opens as a notebook in VS Code and (with jupytext) in Jupyter, and runs as
# a script.

# %%
from pathlib import Path

import hedgefox as hf
import pandas as pd
from hedgefox.datasets import siblings

HERE = Path("what_if_siblings")

# %% [markdown]
# Three trajectories of each start. Sibling 0 is the plain sample; each other differs from it in one
# parameter or in the script.

# %%
data = hf.generate("fluid", "smoke", HERE, splits=["test"], siblings=3)
family = siblings(data.folder, "test")
varied = [{"scene": k, "group": s.group, "sibling": s.variant, "varied": s.variation.varied, "value": s.variation.value}
          for k, s in enumerate(family)]  # fmt: skip
hf.show(pd.DataFrame(varied))

# %% [markdown]
# How far apart do siblings end in truth, and how far apart does a model's answer to them end? A model that
# ignores the cause says 0.

# %%
films = data.load("test").split()
recipe = hf.domain("fluid").recipe("xs")
coarse = hf.domain("fluid").ladder(recipe)["sph-dx2"]


def last_frame(film: hf.Trajectory, model: hf.Model | None) -> hf.Trajectory:
    """The last frame of the truth, or of a model's answer to its past."""
    if model is None:
        return film.frames(film.n_frames - 1)
    return model.rollout(film.frames(0, recipe.past), film.n_frames - recipe.past).frames(-1)


def apart(a: hf.Trajectory, b: hf.Trajectory) -> float:
    """Root mean square distance of the nodes [m]."""
    return float((a.position - b.position).square().sum(-1).mean().sqrt())


plain = {s.group: k for k, s in enumerate(family) if s.variant == 0}
rows = [
    {"group": s.group, "varied": s.variation.varied}
    | {
        name: apart(last_frame(films[k], model), last_frame(films[plain[s.group]], model))
        for name, model in (("truth [m]", None), ("sph-dx2 [m]", coarse))
    }
    for k, s in enumerate(family)
    if s.variant
]
hf.show(pd.DataFrame(rows).round(5))

# %% [markdown]
# Two siblings side by side; the colour is how far one has gone from the other.

# %%
hf.show(hf.play(films[0], films[1], names=["plain", family[1].variation.varied], colour="error"))
