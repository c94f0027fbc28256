"""Rows: readers of node tables and of exports, shards, the synthetic world, air quality."""
