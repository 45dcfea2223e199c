"""A sample function: greets whoever calls it."""

from __future__ import annotations


def handle(event, context) -> dict:
    """Answer any call with a greeting and what was called.

    `event` holds body (bytes), headers, method, query, query_string and path; `context` holds hostname,
    call_id and log_fields, which go into the call's log line.
    """
    return {"statusCode": 200, "body": {"message": "hello", "method": event.method, "path": event.path}}
