"""What a run logs: every finished level and planted network, as JSON lines, and to a tracker of one's choice."""
