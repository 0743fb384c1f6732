"""Running networks: one interface, and one file for each runtime."""
