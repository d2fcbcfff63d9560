"""One small file per ticket: entropy-coded, checksummed, without pickle; the format is in docs/ticket-format.md."""

from winsome.ticket_file.container import VERSION as VERSION
from winsome.ticket_file.container import decode as decode
from winsome.ticket_file.container import encode as encode
from winsome.ticket_file.container import least_bytes as least_bytes
from winsome.ticket_file.file import read as read
from winsome.ticket_file.file import write as write
from winsome.ticket_file.layer_code import entropy_bytes as entropy_bytes
