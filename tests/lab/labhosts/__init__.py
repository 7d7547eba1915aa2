"""Hosts of the lab: systemd containers over cached roots, one network for each clone."""
