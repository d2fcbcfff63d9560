"""What finished runs say: results and intervals, lines between networks, signs; knows no figure and no page."""
