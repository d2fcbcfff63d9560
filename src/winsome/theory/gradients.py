"""Gradients and losses of a single hidden neuron: closed forms over Gaussian inputs, and on finite samples.

With r = |w|, th = angle(w, e_1) and f = a relu(w.x), over x ~ N(0, I) (arXiv:2402.19262, section 2):

    E[f relu(x_1)] = a (r sin th + (pi - th) w_1) / (2 pi)        E[f^2] = a^2 r^2 / 2
"""

from __future__ import annotations

import numpy as np

from winsome.theory.neurons import Array, Neurons
from winsome.theory.problem import Problem, Samples


def population_gradient(neurons: Neurons, problem: Problem) -> Neurons:
    """The gradient of E(f - label)^2 / 2 over x ~ N(0, I); independent noise has no part in it.

    At w = 0 the angle is undefined; its term is taken as 0 there.
    """
    a_S, w_SD = neurons.a_S, neurons.w_SD
    across_S, square_S, past_S = _geometry(w_SD)
    tilt = problem.tilt
    a_gradient_S = a_S * square_S / 2 - (across_S + past_S * w_SD[:, 0]) / (2 * np.pi) - tilt * w_SD[:, 0] / 2
    bend_S = np.divide(across_S, square_S, out=np.zeros_like(a_S), where=square_S > 0)
    w_gradient_SD = (np.square(a_S) / 2 - a_S * bend_S / (2 * np.pi))[:, None] * w_SD
    w_gradient_SD[:, 0] -= a_S * (past_S / (2 * np.pi) + tilt / 2)
    return Neurons(a_gradient_S, w_gradient_SD)


def sample_gradient(neurons: Neurons, samples: Samples) -> Neurons:
    """The gradient of mean((f - label)^2) / 2 on each start's own data set; relu has slope 0 at 0."""
    before_SN = np.matmul(samples.x_SND, neurons.w_SD[:, :, None])[:, :, 0]
    after_SN = np.maximum(before_SN, 0.0)
    residual_SN = (neurons.a_S[:, None] * after_SN - samples.y_SN) * (before_SN > 0)
    count = samples.y_SN.shape[1]
    pull_SD = np.matmul(residual_SN[:, None, :], samples.x_SND)[:, 0]
    return Neurons((residual_SN * after_SN).sum(axis=1) / count, neurons.a_S[:, None] * pull_SD / count)


def loss_share(neurons: Neurons) -> Array:
    """The population loss against the clean target, as a share of the loss of f = 0 (1/4): 0 learned, 1 nothing learned."""
    across_S, square_S, past_S = _geometry(neurons.w_SD)
    overlap_S = neurons.a_S * (across_S + past_S * neurons.w_SD[:, 0]) / (2 * np.pi)
    return np.square(neurons.a_S) * square_S - 4 * overlap_S + 1


def _geometry(w_SD: Array) -> tuple[Array, Array, Array]:
    """r sin th, r^2 and pi - th: the parts of w that the target tells apart."""
    across_S = np.sqrt(np.square(w_SD[:, 1:]).sum(axis=1))
    # pi - th from its own arctangent: a start near -e_1 escapes at a rate of the square of this small number.
    return across_S, np.square(w_SD).sum(axis=1), np.arctan2(across_S, -w_SD[:, 0])
