"""The media worker: from parts named in `messages` to blobs, and `parts` results for the archive.

It reads `messages` in a group of its own, so that an outage of the record store does not let media expire. Every part
becomes a task on `fetches`, durable in the log; the fetcher works those off, nearest deadline first.
"""

from broker.workers.media.agenda import Agenda
from broker.workers.media.fetcher import Fetcher
from broker.workers.media.fetching import Fetching
from broker.workers.media.scan import MediaScan

__all__ = ["Agenda", "Fetcher", "Fetching", "MediaScan"]
