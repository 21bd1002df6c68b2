"""Where the files of a product lie: a folder, a zip, a bucket, a web server, or several places."""

from __future__ import annotations
