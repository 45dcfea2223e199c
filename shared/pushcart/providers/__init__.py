"""The outside world, one module for each provider: Stripe, the course platforms, the mailing list, the mails."""
