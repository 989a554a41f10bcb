"""Custody: WhatsApp Business conversations brought home, kept first and erased at the provider after."""

__version__ = "0.1.0"
