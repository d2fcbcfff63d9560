"""Networks of the papers, and any torchvision classifier, by name."""

from winsome.models.catalogue import NETWORKS as NETWORKS
from winsome.models.catalogue import build as build
from winsome.models.spec import NetworkSpec as NetworkSpec
