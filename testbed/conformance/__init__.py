"""Run a real engine beside the model: compare what dockerd sets up for a host with what the testbed predicts."""
