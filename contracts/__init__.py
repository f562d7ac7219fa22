"""The shared nouns: Scene, Trajectory, Model, Stepper, Domain, ModelCard, Track. Imports nothing else of hedgefox."""

from .card import ModelCard as ModelCard
from .check import check_model as check_model
from .domain import SPLITS as SPLITS
from .domain import Domain as Domain
from .domain import PhysicsCheck as PhysicsCheck
from .domain import Recipe as Recipe
from .errors import CheckFailed as CheckFailed
from .errors import HedgefoxError as HedgefoxError
from .errors import MisuseError as MisuseError
from .model import Model as Model
from .model import Stepper as Stepper
from .scene import BodyShape as BodyShape
from .scene import NodeType as NodeType
from .scene import Obstacle as Obstacle
from .scene import Scene as Scene
from .scene import Script as Script
from .scene import Wall as Wall
from .scene import single_scene as single_scene
from .scene import stack_scenes as stack_scenes
from .track import Track as Track
from .track import track as track
from .trajectory import NEVER as NEVER
from .trajectory import Frame as Frame
from .trajectory import Trajectory as Trajectory
from .trajectory import from_frames as from_frames
from .trajectory import stack as stack
