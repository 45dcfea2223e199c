"""What the function catch-up does each minute: the sweep's neighbours, joined."""
