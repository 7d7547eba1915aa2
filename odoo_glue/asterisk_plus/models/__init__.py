from . import (
    call,
    event,
    http,
    inbox,
    job,
    outbox,
    partner,
    server,
    server_jobs,
    status,
    user,
    users,
)
