from . import call, server
