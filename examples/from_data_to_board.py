# %% [markdown]
# # From data to a board
#
# The whole way at a size that takes half a minute on a CPU: simulate a little fluid, train a graph network
# on it, score it beside the simulator's own cheaper settings, look at the board, and watch the films. At
# this size (track `smoke`) nothing is learned that is worth a rank; replace it by `quick` for a first real
# one.
#
# The file is a notebook in percent format: VS Code opens it as it is, Jupyter with jupytext, and `python
# from_data_to_board.py` runs it and prints the tables. `hf.show(x)` shows what `x` as the last line of a
# cell would.

# %%
from pathlib import Path

import hedgefox as hf

HERE = Path("from_data_to_board")  # everything below is written here; a second run goes on from what is there

# %% [markdown]
# ## Data
#
# One folder a domain: verified HDF5 shards, the same bytes whenever they are made. `hf.verify` proves it,
# and has no rows when the data are sound.

# %%
data = hf.generate("fluid", "smoke", HERE / "data")
hf.show(data)

# %%
hf.show(hf.verify(data))

# %% [markdown]
# ## A network
#
# `particle_gnn` is the specialist for fluid. What is returned holds the model, its card, and the log; its
# folder goes wherever a model is asked for.

# %%
network = hf.train("particle_gnn", data, out=HERE / "weights")
hf.show(network)

# %% [markdown]
# ## Scores and times
#
# Every contestant sees the first 5 frames of each test film and continues it. `sph-dx2` is the simulator
# itself, with particles twice as far apart: what a network has to beat is not the reference but the
# cheapest setting that errs no more.

# %%
contestants: list[str | Path] = [network.folder, "sph-dx2", "constant_velocity", "persistence"]
scores = hf.score(contestants, data, HERE / "results" / "scores")
times = hf.speed(contestants, HERE / "results" / "times", domain="fluid", track="smoke")
hf.show(times)

# %% [markdown]
# ## The board
#
# Made from the two records and nothing else. Every table gives a DataFrame with `to_pandas()`: numbers as
# numbers, an interval as two columns.

# %%
board = hf.leaderboard(HERE / "results", split="test")
hf.show(board)

# %%
frame = board.to_pandas()
columns = [
    "model",
    "position_rmse_last",
    "position_rmse_last_low",
    "position_rmse_last_high",
    "latency_ms",
    "parameters",
]
hf.show(frame[columns].round(4))

# %% [markdown]
# ## Two contestants side by side

# %%
comparison = hf.compare("particle_gnn", "constant_velocity", HERE / "results")
hf.show(comparison)

# %% [markdown]
# ## Figures
#
# Those of the report, as plotly figures: error over time with bands over scenes, error against cost, and
# others (`scores.figures`).

# %%
over_time = scores.figure("over_time", split="test")
cost = hf.load(HERE / "results").figure("cost")
hf.show(over_time, cost)

# %% [markdown]
# ## Films
#
# The stored film from frame 5 on, and what the network and the coarse simulator make of it, coloured by the
# distance from the truth.

# %%
film = data.film("test", scene=0)  # a Trajectory: position (T, N, D) [m], velocity, scene
recipe = hf.domain("fluid").recipe("xs")
past, truth = film.frames(0, recipe.past), film.frames(recipe.past)
coarse = hf.domain("fluid").ladder(recipe)["sph-dx2"]
answers = [model.rollout(past, truth.n_frames) for model in (network, coarse)]
player = hf.play(truth, *answers, names=["sph", "particle_gnn", "sph-dx2"], colour="error")
hf.show(player)

# %% [markdown]
# ## A page to keep
#
# The same board, charts and claims as one folder that opens from disk, without a server or a network.

# %%
hf.show(hf.report(HERE / "results"), player.write(HERE / "films.html"))
