"""Meta's WhatsApp Cloud API: its webhooks, its media, and the one thing it lets be erased."""
