"""For all tiers."""

import salt._logging

# pytest-salt-factories imports Salt, whose first log handler keeps every record, to write them at
# the end to a stream that pytest has closed by then.
salt._logging.shutdown_temp_handler()
