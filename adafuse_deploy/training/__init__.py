"""Training: losses, schedules, gradient estimators, the loop, and the measurement of results."""
