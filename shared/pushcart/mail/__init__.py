"""Mails: what a template may use (`context`), in which locale (`formats`), `render`, and who sends it."""
