"""Rows: readers of node tables, shards, the synthetic world, air quality."""
