"""One small file per ticket: entropy-coded, checksummed, without pickle; the format is in docs/ticket-format.md."""

from typing import TYPE_CHECKING

from winsome.lazy import import_on_use

if TYPE_CHECKING:  # who reads where a ticket came from does not wait for torch
    from winsome.ticket_file.container import VERSION as VERSION
    from winsome.ticket_file.container import decode as decode
    from winsome.ticket_file.container import encode as encode
    from winsome.ticket_file.container import least_bytes as least_bytes
    from winsome.ticket_file.file import read as read
    from winsome.ticket_file.file import write as write
    from winsome.ticket_file.header import read_provenance as read_provenance
    from winsome.ticket_file.layer_code import entropy_bytes as entropy_bytes

import_on_use(__name__)
