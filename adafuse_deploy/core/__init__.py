"""What everything else stands on: errors, files, configuration, actions, cost, metadata."""
