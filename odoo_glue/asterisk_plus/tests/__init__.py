from . import (
    test_access,
    test_buttons,
    test_calls,
    test_dial,
    test_events,
    test_inbox,
    test_inbox_handlers,
    test_jobs,
    test_numbers,
    test_people,
    test_results,
    test_salt_api,
)
