"""What searches leave on disk: the configuration of a folder, finished levels, checkpoints."""
