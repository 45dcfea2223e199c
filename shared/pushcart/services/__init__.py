"""What the functions do, above the store and the providers; handlers only wire these to routes."""
