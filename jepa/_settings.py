"""What a jepa is made of and how it is trained: the same fields for every variant."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import MisuseError
from ._attention import MIXERS

OBJECTIVES = ("latent", "state")
ENCODERS = ("trained", "random")
TOLD = ("start", "time")


@dataclass(frozen=True)
class Settings:
    """What a jepa is made of and how it is trained."""

    width: int
    """Channels of a token."""
    tokens: int = 16
    """Latent tokens a scene, K."""
    supernodes: int = 32
    neighbours: int = 12
    """Nodes that a supernode gathers."""
    encoder_blocks: int = 2
    predictor_blocks: int = 3
    mixer: str = "attention"
    """How tokens mix in the predictor: attention, mean or messages."""
    readout_width: int = 64
    readout_looks: int = 2
    """Times that the read-out looks at the tokens: its capacity."""
    history: int = 5
    """Frames seen."""
    stride: int = 8
    """Frames of a full leap of the predictor."""
    horizon: int = 50
    """Frames after the start up to which the read-out is fitted."""
    objective: str = "latent"
    """What encoder and predictor are trained on: latent, or state (positions, end to end)."""
    encoder: str = "trained"
    """trained, or random: stays as drawn, and only the predictor learns; the control for what training it adds."""
    readout_told: tuple[str, ...] = ("start",)
    """What the read-out knows beside the tokens of the time asked for: the tokens of the start, the time since."""
    anti_collapse: str = "ema+vicreg"
    vicreg_weight: float = 0.2
    sigreg_weight: float = 0.04
    momentum: float = 0.99
    """Of the target encoder's slow average: it looks back over about 1 / (1 - momentum) steps."""
    masking: float = 0.25
    """Share of supernodes that the context encoder is not shown."""
    withheld: float = 0.5
    """Share of material parameters that are withheld in training, so that they must be inferred."""
    leaps: int = 3
    """Leaps of a rollout in training."""
    batch_size: int = 8
    learning_rate: float = 2e-3
    readout_rate: float = 2e-3
    share: float = 0.15
    """Steps of the first stage, as a share of the track's training steps."""
    readout_share: float = 0.15
    effort: float = 1.0
    """Steps of both stages over those that the shares make."""
    learn: tuple[str, ...] = ()
    """Domains whose training data are learned; empty for all of the run, or for none where there are `few`."""
    few: tuple[str, ...] = ()
    """Domains that are learned afterwards, by themselves, from `shots` training trajectories each."""
    shots: int = 0
    read_times: int = 3
    """Times of a rollout that a step of fitting the read-out asks about."""
    read_nodes: int = 48
    """Nodes of a scene that a step of fitting the read-out asks about."""
    domains: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


def preset(size: str) -> Settings:
    """Settings by size."""
    sizes = {
        "xs": Settings(
            16,
            tokens=4,
            supernodes=8,
            neighbours=4,
            encoder_blocks=1,
            predictor_blocks=1,
            readout_width=16,
            readout_looks=1,
            stride=3,
            horizon=12,
            leaps=2,
            batch_size=4,
        ),
        "s": Settings(64),
        "m": Settings(128, tokens=32, supernodes=64, neighbours=16, readout_width=128),
        "l": Settings(
            192,
            tokens=64,
            supernodes=256,
            neighbours=16,
            encoder_blocks=4,
            predictor_blocks=6,
            readout_width=192,
            readout_looks=3,
        ),
    }
    if size not in sizes:
        raise MisuseError(f"jepa has no size {size!r}; one of {', '.join(sizes)} is right")
    return sizes[size]


def checked(settings: Settings) -> Settings:
    """The settings; raises MisuseError for a word that means nothing."""
    for name, known in (("mixer", MIXERS), ("objective", OBJECTIVES), ("encoder", ENCODERS)):
        if getattr(settings, name) not in known:
            raise MisuseError(f"{name} is {getattr(settings, name)!r}; one of {', '.join(known)} is right")
    unknown = sorted(set(settings.readout_told) - set(TOLD))
    if unknown:
        raise MisuseError(f"readout_told has {unknown[0]!r}; some of {', '.join(TOLD)} are right")
    if bool(settings.few) != bool(settings.shots):
        raise MisuseError(f"few is {settings.few} and shots {settings.shots}; both or neither are right")
    twice = sorted(set(settings.learn) & set(settings.few))
    if twice:
        raise MisuseError(f"{twice[0]} is in learn and in few; one of the two is right")
    return settings
