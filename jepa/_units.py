"""Units of each kind of physics, and what is known of its material: measured from training data, stored with the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..contracts import MisuseError, Scene, Trajectory
from ..surrogates._features import displacements, typical_spacing
from ..surrogates._material import spread, standardised


class Units(nn.Module):
    """Scales by domain, so that one network sees lengths, speeds and parameters of order one in all of them.

    length: root mean square distance of nodes from their box's centre [m] · spacing: distance of neighbouring nodes [m] ·
    speed: root mean square velocity [m/s] · bend: root mean square of x(t) - x(t-h) - h Δt v(t) over h frames [m].
    """

    length: Tensor
    spacing: Tensor
    speed: Tensor
    bend: Tensor
    parameter_mean: Tensor
    parameter_std: Tensor
    parameter_is_log: Tensor

    def __init__(self, domains: Sequence[str], parameters: Sequence[str]) -> None:
        super().__init__()
        self.domains, self.named = tuple(domains), tuple(parameters)
        for name in ("length", "spacing", "speed", "bend"):
            self.register_buffer(name, torch.ones(len(domains)))
        self.register_buffer("parameter_mean", torch.zeros(len(parameters), dtype=torch.float64))
        self.register_buffer("parameter_std", torch.ones(len(parameters), dtype=torch.float64))
        self.register_buffer("parameter_is_log", torch.zeros(len(parameters), dtype=torch.bool))

    def number(self, domain: str) -> int:
        """Which of the domains this is; raises MisuseError for one that is not among them."""
        if domain not in self.domains:
            raise MisuseError(f"this model was made for {', '.join(self.domains)}; the film is of {domain}")
        return self.domains.index(domain)

    def measure(self, films: Mapping[str, Trajectory], history: int) -> None:
        """Set all scales from the training films, in float64."""
        for domain, film in films.items():
            k, scene = self.number(domain), film.scene
            free, dt = scene.free, scene.frame_interval
            centre = scene.bounds.mean(1)[scene.node_scene][free]
            self.length[k] = _rms(film.position[:, free] - centre)
            self.spacing[k] = typical_spacing(film)
            self.speed[k] = _rms(film.velocity[:, free])
            moved = displacements(scene, film.position).unfold(0, history - 1, 1).sum(-1)
            self.bend[k] = _rms((moved - (history - 1) * dt * film.velocity[history - 1 :])[:, free])
            self._measure_parameters(domain, film.scene)

    def _measure_parameters(self, domain: str, scene: Scene) -> None:
        for k, full in enumerate(self.named):
            owner, _, name = full.partition("/")
            if owner != domain:
                continue
            self.parameter_is_log[k], self.parameter_mean[k], self.parameter_std[k] = spread(scene.parameters[name])

    def material(self, scene: Scene) -> tuple[Tensor, Tensor]:
        """Parameters of all domains, standardised, zero where not known; and where they are known: (B, parameters) each.

        Not known: withheld (NaN), or a parameter of another domain.
        """
        blank = torch.full_like(scene.gravity[:, 0], torch.nan)
        columns = []
        for full in self.named:
            owner, _, name = full.partition("/")
            columns.append(scene.parameters.get(name, blank) if owner == scene.domain else blank)
        if not columns:
            return blank[:, None][:, :0], blank[:, None][:, :0]
        values = torch.stack(columns, -1).to(torch.float64)
        known = torch.isfinite(values)
        standard = standardised(values, self.parameter_is_log, self.parameter_mean, self.parameter_std)
        return standard.to(blank.dtype), known.to(blank.dtype)


def _rms(values: Tensor) -> float:
    rows = values[torch.isfinite(values)].to(torch.float64)
    root = float(rows.square().mean().sqrt().clamp(min=1e-9))
    return root * math.sqrt(values.shape[-1])


def parameter_names(films: Mapping[str, Trajectory]) -> tuple[str, ...]:
    """The parameters of all films as "domain/name", sorted; those that never vary say nothing and are left out."""
    names = []
    for domain, film in films.items():
        for name, values in film.scene.parameters.items():
            found = values[torch.isfinite(values)]
            if found.numel() and float(found.max()) > float(found.min()):
                names.append(f"{domain}/{name}")
    return tuple(sorted(names))
