{
    "name": "Asterisk Plus: measures",
    "summary": "The developer guide's handler of one event, for bench/run",
    "version": "1.0.0",
    "license": "LGPL-3",
    "depends": ["asterisk_plus"],
    "data": ["events.xml"],
    "installable": True,
}
