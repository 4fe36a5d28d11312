"""What the scenario, the acceptance runs and the comparisons stand on: private worlds, daemons, logs, prose."""
