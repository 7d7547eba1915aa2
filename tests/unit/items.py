"""Items as the bridge puts them into the outbox."""


def event(number, **others):
    """An AMI event's item; ``number`` tells it from others."""
    return {
        "kind": "event",
        "name": "Newstate",
        "model": "my.channel",
        "method": "on_state",
        "data": {"number": number},
        **others,
    }


def numbers(items):
    """Which events these items (as Odoo takes them, or as ``Outbox.failed`` lists them) are."""
    return [item["data"]["number"] for item in items]
