"""Figures of a study, as matplotlib figures, as files for a paper, and as SVG inside a page."""

from winsome.figures.backend import matplotlib as matplotlib  # before anything else imports it

# isort: split
from winsome.evidence.results import Results as Results
from winsome.evidence.results import read as read
from winsome.figures.accuracy import accuracy_over_density as accuracy_over_density
from winsome.figures.catalogue import STUDY_PLOTS as STUDY_PLOTS
from winsome.figures.catalogue import study_plots as study_plots
from winsome.figures.connectivity import error_along_lines as error_along_lines
from winsome.figures.curves import learning_curves as learning_curves
from winsome.figures.files import inline_svg as inline_svg
from winsome.figures.files import save as save
from winsome.figures.layers import layer_densities as layer_densities
from winsome.figures.pairs import paired_differences as paired_differences
from winsome.figures.plots import DrawnPlot as DrawnPlot
from winsome.figures.plots import Plot as Plot
from winsome.figures.plots import drawn as drawn
from winsome.figures.searches import search_progress as search_progress
from winsome.figures.sign_matrices import sign_agreement as sign_agreement
from winsome.figures.sign_matrices import sign_layers as sign_layers
from winsome.figures.signs import sign_levels as sign_levels
from winsome.figures.signs import sign_settling as sign_settling
