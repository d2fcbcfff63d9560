"""Names of files that commands look for; imports nothing, so that they need not either."""

CONFIG = "config.json"  # of every folder that belongs to one configuration
RESULTS = "results.json"  # of a study
NETWORKS = "results.csv"  # beside it: a row for each network
SWEEP = "sweep.json"

# In a configuration: where the images lay. It identifies nothing, and stands in no ticket.
DATA_FOLDER = "data_folder"
