"""Webhook payloads as the provider documents them: contents, items, statuses, events, and the envelope around them."""
