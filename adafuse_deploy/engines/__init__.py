"""Running networks: one interface, one file for each runtime, and the building of engines."""
