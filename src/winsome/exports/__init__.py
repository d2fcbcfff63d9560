"""What sparsity buys: tickets' networks in smaller or faster forms, each verified and measured before it is written."""

from winsome.exports.container import head_of as head_of
from winsome.exports.counting import layer_costs as layer_costs
from winsome.exports.counting import total_cost as total_cost
from winsome.exports.csr import read_compressed as read_compressed
from winsome.exports.csr import with_compressed_rows as with_compressed_rows
from winsome.exports.loading import load as load
from winsome.exports.semi_structured import read_packed as read_packed
from winsome.exports.shrinking import read_shrunk as read_shrunk
from winsome.exports.shrinking import shrink as shrink
from winsome.exports.small import read_small as read_small
from winsome.exports.small import write_small as write_small
from winsome.exports.writing import Form as Form
from winsome.exports.writing import export as export
from winsome.exports.writing import requested as requested
