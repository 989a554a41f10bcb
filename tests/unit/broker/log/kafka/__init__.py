"""Mirrors `broker/log/kafka`."""
