"""`python -m local.sandbox --port 4010` runs the sandbox alone."""

from __future__ import annotations

import argparse
import secrets
import signal
import threading
from pathlib import Path

from local.sandbox import Sandbox


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="local.sandbox",
        description="Stand-ins for Stripe, Autopay, Printful, SendGrid, SMTP, Kit, Discourse, Thinkific, any signed "
        "HTTP, and for phones: Twilio, ntfy and plain JSON.",
    )
    parser.add_argument("--port", type=int, default=4010, help="HTTP port; 0 takes a free one (default: 4010)")
    parser.add_argument("--smtp-port", type=int, default=4025, help="SMTP port; 0 takes a free one (default: 4025)")
    parser.add_argument("--webhook-url", help="where Stripe's events are posted")
    parser.add_argument("--webhook-secret", default="whsec_sandbox", help="what they are signed with")
    parser.add_argument("--autopay-itn-url", help="where Autopay's notifications are posted")
    parser.add_argument("--autopay-return-url", help="where Autopay sends buyers back to")
    parser.add_argument("--autopay-service-id", default="123456", help="the shop's service at Autopay")
    parser.add_argument("--autopay-key", default="sandbox-autopay-key", help="the key it shares with Autopay")
    parser.add_argument("--printful-webhook-url", help="where Printful's events are posted, with the secret in it")
    parser.add_argument("--printful-token", help="the only token Printful takes; by default any")
    parser.add_argument("--clock-file", type=Path, help="a file with the seconds that the clock runs ahead")
    parser.add_argument("--seed", type=int, help="for ids that repeat; by default every run has its own")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sandbox = Sandbox(
        port=given.port,
        smtp_port=given.smtp_port,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        clock_file=given.clock_file,
        seed=secrets.randbits(64) if given.seed is None else given.seed,
    )
    sandbox.autopay.configure(
        itn_url=given.autopay_itn_url,
        return_url=given.autopay_return_url,
        service_id=given.autopay_service_id,
        key=given.autopay_key,
    )
    sandbox.printful.configure(webhook_url=given.printful_webhook_url, token=given.printful_token)
    try:
        sandbox.start()
    except OSError as error:
        parser.exit(1, f"the sandbox cannot start: {error.strerror or error}; choose other ports\n")
    print(f"sandbox: {sandbox.url} (SMTP on port {sandbox.smtp_port}); stop it with Ctrl-C", flush=True)
    stop.wait()
    sandbox.stop()


if __name__ == "__main__":
    main()
