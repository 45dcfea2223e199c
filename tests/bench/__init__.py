"""What Pushcart costs: `make bench` measures acknowledgement, the whole chain, memory, cold starts and the sweep."""
