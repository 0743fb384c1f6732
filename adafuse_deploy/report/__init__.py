"""One self-contained HTML page from what a verb found: its JSON, and pictures."""
