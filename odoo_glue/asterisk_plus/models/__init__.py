from . import call, event, inbox, job, outbox, server, server_jobs, status, users
