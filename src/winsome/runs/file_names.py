"""Names of files that commands look for; imports nothing, so that they need not either."""

CONFIG = "config.json"  # of every folder that belongs to one configuration
RESULTS = "results.json"  # of a study
