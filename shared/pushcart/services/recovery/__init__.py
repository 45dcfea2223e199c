"""Compares everything with Stripe and Printful, and repairs what is safe."""
