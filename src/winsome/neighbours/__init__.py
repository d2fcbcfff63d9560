"""Roads to and from other tools: their checkpoints become tickets, and tickets with weights become their files."""

from winsome.neighbours.checkpoints import read_checkpoint as read_checkpoint
from winsome.neighbours.exports import Exported as Exported
from winsome.neighbours.exports import dense_state as dense_state
from winsome.neighbours.exports import prune_with_torch as prune_with_torch
from winsome.neighbours.exports import torch_prune_state as torch_prune_state
from winsome.neighbours.exports import write_dense as write_dense
from winsome.neighbours.exports import write_torch_prune as write_torch_prune
from winsome.neighbours.hub import model_card as model_card
from winsome.neighbours.hub import pull as pull
from winsome.neighbours.hub import push as push
from winsome.neighbours.imports import Imported as Imported
from winsome.neighbours.imports import import_file as import_file
from winsome.neighbours.imports import import_state as import_state
from winsome.neighbours.imports import ticket_from_file as ticket_from_file
from winsome.neighbours.imports import ticket_from_state as ticket_from_state
from winsome.neighbours.layouts import LAYOUTS as LAYOUTS
from winsome.neighbours.onnx import write_onnx as write_onnx
