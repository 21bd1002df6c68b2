"""The service: bands, cloud masks and statistics over HTTP, for clients that were written for Sentinel Hub."""
