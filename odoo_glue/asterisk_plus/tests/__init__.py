from . import test_inbox
from . import test_inbox_handlers
from . import test_results
from . import test_jobs
from . import test_events
from . import test_calls
from . import test_access
from . import test_salt_api
