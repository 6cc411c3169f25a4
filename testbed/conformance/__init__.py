"""A real engine, run beside the model: what dockerd sets up for a host, against what the testbed says it would."""
