"""Asks Stripe and Printful for what never arrived, every minute."""
