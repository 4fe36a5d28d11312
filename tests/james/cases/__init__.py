"""What clients do to the server under test, in a fixed order: case N keeps its number."""

from cases import smtp_auth, smtp_injection, smtp_mail, imap, pop3, sieve, http, proxy  # noqa: F401  (the order is the numbering)
from cases.client import CASES, PROXIED, Client

__all__ = ["CASES", "PROXIED", "Client"]
