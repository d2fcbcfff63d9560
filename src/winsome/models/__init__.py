"""Networks of the papers, and any torchvision classifier, by name."""

from winsome.models.catalogue import NETWORKS as NETWORKS
from winsome.models.catalogue import build as build
from winsome.models.catalogue import from_record as from_record
from winsome.models.catalogue import network_record as network_record
