"""Several frames from one call of a network: what they lead to, when it is asked, and that one frame is as it was."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hedgefox.contracts import MisuseError, Script, Trajectory, check_model
from hedgefox.surrogates import mesh_gnn, particle_gnn
from hedgefox.surrogates._features import History, accelerations, averaged
from hedgefox.surrogates._one_step import led_to
from torch import Tensor


def test_what_accelerations_lead_to_is_where_a_film_goes(film: Trajectory) -> None:
    """x(t+j) = x(t) + j (x(t) - x(t-1)) + d(j), d(j) = j (j + 1) / 2 of what `led_to` says."""
    x = film.position.double()
    found = led_to(accelerations(film.scene, x[2:9]))
    for j in range(1, 6):
        straight = x[3] + j * (x[3] - x[2])
        torch.testing.assert_close(found[j - 1] * (j * (j + 1) / 2), x[3 + j] - straight, rtol=0, atol=1e-12)


def test_a_steady_acceleration_leads_to_itself() -> None:
    steady = torch.tensor([0.3, -2.0]).expand(6, 4, 2)
    torch.testing.assert_close(led_to(steady), steady)


def test_an_averaged_script_moves_on_by_the_mean() -> None:
    rows = torch.arange(5.0).square().view(5, 1, 1)
    script = Script(rows, rows + 1, rows + 2)
    assert averaged(script, 4).box_offset.flatten().tolist() == [0.0, 4.0]
    assert averaged(script, 4).node_position.flatten().tolist() == [2.0, 6.0]
    assert averaged(script, 9).box_offset.flatten().tolist() == [0.0, 4.0], "where the script ends sooner"


class Counting(particle_gnn.ParticleGNN):
    """Answers with the number of the frame after the call, and counts the calls."""

    asked = 0

    def predict(self, state: History, script: Script, known: Tensor | None = None) -> Tensor:
        self.asked += 1
        m, dim = self.common.bundle, state.scene.dim
        answer = torch.arange(1.0, m + 1).repeat_interleave(dim)
        return answer.expand(state.scene.n_nodes, -1)


@pytest.mark.parametrize("bundle", [1, 3])
def test_the_network_is_asked_once_a_bundle_and_its_answers_are_taken_in_order(film: Trajectory, bundle: int) -> None:
    plain = particle_gnn.build(film.scene.domain, size="xs", bundle=bundle, spacing=1.0, dim=film.scene.dim)
    model = Counting(plain.card, film.scene.domain, plain.set)
    model.acceleration_std.fill_(1e-3)
    past = film.frames(0, 5)
    out = model.rollout(past, 7)
    assert model.asked == -(-7 // bundle)
    x = torch.cat([past.position[-2:], out.position])
    moved = accelerations(film.scene, x)[:, film.scene.free, 0]
    expected = torch.tensor([1e-3 * (k % bundle + 1) for k in range(7)])
    torch.testing.assert_close(moved.mean(1), expected, rtol=0.02, atol=0)


def test_a_rollout_does_not_depend_on_how_far_it_goes(film: Trajectory) -> None:
    model = particle_gnn.build(film.scene.domain, size="xs", bundle=3, spacing=1.0, dim=film.scene.dim)
    past = film.frames(0, 5)
    torch.testing.assert_close(model.rollout(past, 4).position, model.rollout(past, 7).position[:4])


def test_bundles_keep_the_contract(film: Trajectory) -> None:
    model = particle_gnn.build(film.scene.domain, size="xs", bundle=2, spacing=0.3, dim=film.scene.dim)
    assert len(check_model(model, film.frames(0, 9), n_frames=4)) == 9


def test_a_bundle_is_learned(film: Trajectory) -> None:
    """The loss of a bundle is zero where the answer is the film's own, and its gradient reaches every frame's answer."""
    model = particle_gnn.build(film.scene.domain, size="xs", bundle=3, spacing=1.0, dim=film.scene.dim)
    assert model.window == model.common.history + 4
    loss = model.loss(film.frames(0, model.window), torch.Generator().manual_seed(0))
    loss.backward()  # type: ignore[no-untyped-call]
    last = list(model.network.parameters())[-1].grad
    assert last is not None
    assert bool((last.abs() > 0).all())


def test_a_model_that_knows_part_of_each_frame_takes_no_bundle() -> None:
    with pytest.raises(MisuseError, match="bundle 2"):
        mesh_gnn.build("cloth", size="xs", bundle=2)
    assert dataclasses.asdict(mesh_gnn.preset("xs"))["bundle"] == 1
