"""Methods, one file each, their networks and losses."""
