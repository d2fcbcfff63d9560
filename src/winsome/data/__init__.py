"""Image data on the device: load, subset, and batches that can start at any step."""

from winsome.data.batches import evaluation_batches as evaluation_batches
from winsome.data.batches import stacked_batches as stacked_batches
from winsome.data.batches import stacked_statistics_batches as stacked_statistics_batches
from winsome.data.batches import statistics_batches as statistics_batches
from winsome.data.batches import steps_per_epoch as steps_per_epoch
from winsome.data.batches import training_batches as training_batches
from winsome.data.catalogue import DATA_SETS as DATA_SETS
from winsome.data.catalogue import load as load
from winsome.data.catalogue import on_hub as on_hub
from winsome.data.data_set import DataSet as DataSet
from winsome.data.images import Augmentation as Augmentation
from winsome.data.images import ImageData as ImageData
from winsome.data.images import ImageSet as ImageSet
from winsome.data.images import image_data as image_data
from winsome.data.images import subset as subset
from winsome.data.images import with_validation as with_validation
from winsome.data.spec import DataSpec as DataSpec
