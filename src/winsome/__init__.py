"""Winsome: win with some of the weights. Find, plant and study winning lottery tickets."""

from typing import TYPE_CHECKING

from winsome.lazy import import_on_use

if TYPE_CHECKING:  # the one list of public names: each is imported when it is asked for
    from winsome.allocation import balanced as balanced
    from winsome.allocation import erdos_renyi_kernel as erdos_renyi_kernel
    from winsome.allocation import globally as globally
    from winsome.allocation import n_of_m as n_of_m
    from winsome.allocation import uniformly as uniformly
    from winsome.densities import at_initialisation as at_initialisation
    from winsome.densities import cubic as cubic
    from winsome.densities import geometric as geometric
    from winsome.densities import one_shot as one_shot
    from winsome.errors import Diverged as Diverged
    from winsome.errors import WinsomeError as WinsomeError
    from winsome.evidence.load import load as load
    from winsome.hyperbolic import HAM as HAM
    from winsome.hyperbolic import SignIn as SignIn
    from winsome.level import Level as Level
    from winsome.method import Method as Method
    from winsome.methods import aws as aws
    from winsome.methods import imp as imp
    from winsome.methods import learning_rate_rewinding as learning_rate_rewinding
    from winsome.methods import lrr_with_frozen_norms as lrr_with_frozen_norms
    from winsome.methods import lrr_with_ham as lrr_with_ham
    from winsome.methods import lrr_with_norm_rewinding as lrr_with_norm_rewinding
    from winsome.methods import lrr_with_sign_in as lrr_with_sign_in
    from winsome.methods import weight_rewinding as weight_rewinding
    from winsome.methods_before_training import grasp as grasp
    from winsome.methods_before_training import random_at_initialisation as random_at_initialisation
    from winsome.methods_before_training import snip as snip
    from winsome.methods_before_training import synflow as synflow
    from winsome.methods_in_phases import ac_dc as ac_dc
    from winsome.methods_in_phases import gradual as gradual
    from winsome.methods_in_phases import sculpt as sculpt
    from winsome.norm_statistics import re_estimate_batch_norm as re_estimate_batch_norm
    from winsome.norms import Frozen as Frozen
    from winsome.norms import Interpolated as Interpolated
    from winsome.norms import frozen_norms as frozen_norms
    from winsome.norms import interpolated_norms as interpolated_norms
    from winsome.norms import reset_norm_parameters as reset_norm_parameters
    from winsome.planned import format_plan as format_plan
    from winsome.prunable import plan as plan
    from winsome.prunable import prunable as prunable
    from winsome.rewinding import KeepWeights as KeepWeights
    from winsome.rewinding import KeepWeightsRewindNorms as KeepWeightsRewindNorms
    from winsome.rewinding import RewindTo as RewindTo
    from winsome.scores import Probe as Probe
    from winsome.scores import magnitude as magnitude
    from winsome.scores import random as random
    from winsome.scoring import Rounds as Rounds
    from winsome.search import find_tickets as find_tickets
    from winsome.signed_mask import SignedMask as SignedMask
    from winsome.ticket import Ticket as Ticket
    from winsome.ticket_file import read as read
    from winsome.ticket_file import write as write
    from winsome.trainers.with_accelerate import with_accelerate as with_accelerate
    from winsome.trainers.with_lightning import with_lightning as with_lightning
    from winsome.trainers.with_transformers import with_transformers as with_transformers
    from winsome.transfer import absorb_norm_signs as absorb_norm_signs
    from winsome.transfer import mask_only as mask_only
    from winsome.transfer import plant as plant
    from winsome.transfer import signs as signs
    from winsome.transfer import signs_and_norms as signs_and_norms
    from winsome.version import __version__ as __version__

import_on_use(__name__)
