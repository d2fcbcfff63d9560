"""A ticket file as an experiment takes it: the ticket, and the network and the data that it says it was found with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from winsome import distributed, ticket_file
from winsome.data.images import ImageData
from winsome.data.spec import DataSpec
from winsome.errors import WinsomeError
from winsome.files import read_state
from winsome.models.spec import NetworkSpec
from winsome.psi import norm_parameters
from winsome.runs.configuration import read_config
from winsome.runs.file_names import DATA_FOLDER
from winsome.ticket import Ticket


@dataclass(frozen=True, eq=False)
class FoundTicket:
    """A ticket with the file that it is from. Of several ranks rank 0 alone reads."""

    file: Path
    ticket: Ticket

    @classmethod
    def read(cls, file: Path) -> FoundTicket:
        """The ticket of a file.

        Raises:
            WinsomeError: it is no ticket file, or damaged.
        """
        return cls(file, distributed.from_main(lambda: ticket_file.read(file)))

    @property
    def network(self) -> NetworkSpec:
        """The network that it fits.

        Raises:
            WinsomeError: the file does not say so.
        """
        if "network" not in self.ticket.provenance:
            raise WinsomeError(
                f"{self.file} does not say which network it was found with; plant it from Python: winsome.plant(ticket, model)"
            )
        return NetworkSpec.from_record(self.ticket.provenance["network"])

    @property
    def data(self) -> DataSpec:
        """The data that it was found with.

        Raises:
            WinsomeError: the file does not say so, or they lay in a folder that nothing beside the file tells of.
        """
        record = self.ticket.provenance.get("data", {})
        if "name" not in record:
            raise WinsomeError(f"{self.file} does not say which data it was found with; name it: --data cifar10, or a folder")
        spec = DataSpec.from_record(record, folder=read_config(self.file.parent).get(DATA_FOLDER))
        if spec.folder is not None and not spec.folder.is_dir():
            called = f"a folder called {record['name']!r}"
            raise WinsomeError(f"{self.file} was found with the images of {called}; name it: --data FOLDER")
        return spec

    def refuse_other_images(self, images: ImageData) -> None:
        """Refuse images that its network does not take: it is not resized.

        Raises:
            WinsomeError: says both shapes.
        """
        network = self.network
        shape, classes = list(network.image_shape or ()), network.n_classes
        if (list(images.image_shape), images.n_classes) != (shape, classes):
            raise WinsomeError(
                f"{self.file} is for images of shape {shape} in {classes} classes; "
                f"{images.name} has {list(images.image_shape)} in {images.n_classes}"
            )

    def with_trained_norms(self) -> Ticket:
        """The ticket with the trained normalisation parameters, from the weights beside it, if it has none yet.

        Raises:
            WinsomeError: there are no weights beside it.
        """
        if self.ticket.norms:
            return self.ticket
        weights = self.file.with_suffix(".safetensors")

        def read() -> Ticket:
            if not weights.exists():
                raise WinsomeError(f"--keep phi needs the trained normalisation parameters in {weights}, which is not there")
            state, _ = read_state(weights)
            return self.ticket.with_norms({name: state[name] for name in norm_parameters(self.network.build(0))})

        return distributed.from_main(read)
