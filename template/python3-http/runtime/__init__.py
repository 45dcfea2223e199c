"""What runs a function: settings, log lines, the handler's contract and the HTTP server."""
