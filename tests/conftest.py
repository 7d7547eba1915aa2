"""For all tiers."""

import salt._logging
from hypothesis import HealthCheck, settings

# pytest-salt-factories imports Salt, whose first log handler keeps every record, to write them at
# the end to a stream that pytest has closed by then.
salt._logging.shutdown_temp_handler()

# How long an example takes says something of the machine only.
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")
