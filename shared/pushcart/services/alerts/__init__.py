"""What the owner is told when something is wrong: conditions, incidents, and the messages about them."""
