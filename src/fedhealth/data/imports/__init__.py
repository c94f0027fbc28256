"""From exports as devices, clinics and stations write them to a node's table, by way of one canonical form."""
