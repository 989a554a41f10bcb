"""Blobs on S3, or on whatever speaks its protocol."""
