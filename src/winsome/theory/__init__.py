"""The single hidden neuron that explains learning-rate rewinding (arXiv:2402.19262, section 2), vectorised over starts."""

from winsome.theory.flow import Solver as Solver
from winsome.theory.flow import flow as flow
from winsome.theory.gradients import loss_share as loss_share
from winsome.theory.gradients import population_gradient as population_gradient
from winsome.theory.gradients import sample_gradient as sample_gradient
from winsome.theory.line import line_along as line_along
from winsome.theory.line import line_flow as line_flow
from winsome.theory.neurons import Neurons as Neurons
from winsome.theory.neurons import balanced_starts as balanced_starts
from winsome.theory.problem import Problem as Problem
from winsome.theory.problem import Samples as Samples
from winsome.theory.problem import draw_samples as draw_samples
from winsome.theory.rounds import RESTARTS as RESTARTS
from winsome.theory.rounds import Path as Path
from winsome.theory.rounds import Restart as Restart
from winsome.theory.rounds import Trials as Trials
from winsome.theory.rounds import compare as compare
from winsome.theory.rounds import follow as follow
from winsome.theory.rounds import imp as imp
from winsome.theory.rounds import lrr as lrr
from winsome.theory.rounds import theorem_predicts as theorem_predicts
from winsome.theory.rounds import theorem_success as theorem_success
