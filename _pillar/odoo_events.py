"""
The event map that Odoo developers write, brought into the pillar.

Each minion's own Odoo settings (pillar ``asterisk:odoo``) are used to read the records of
``asterisk_plus.event`` as that PBX's user; their routes are added to those that the pillar has.
When Odoo cannot be asked, its last answer serves.

.. code-block:: yaml

    ext_pillar:
      - odoo_events: {}
"""

import json
import logging
import os
import sys

log = logging.getLogger(__name__)

TIMEOUT = 5.0
_MAPS = ("events", "bus_events")


def __virtual__():
    library = os.path.join(__opts__["extension_modules"], "utils")
    if library not in sys.path:
        sys.path.append(library)
    try:
        import pbxlib.odoo  # noqa: F401
    except ImportError as error:
        return False, f"{error}: run 'salt-run saltutil.sync_all'"
    return True


def ext_pillar(minion_id, pillar, *args, **kwargs):
    """The keys ``events``, ``bus_events`` and ``events_serial`` of ``asterisk``.

    CLI Example:

    .. code-block:: bash

        salt pbx1 pillar.item asterisk:events
    """
    given = pillar.get("asterisk")
    odoo = given.get("odoo") if isinstance(given, dict) else None
    if not isinstance(odoo, dict) or not odoo.get("url"):
        return {}
    known = _ask(given, minion_id)
    if known is None:
        return {}
    return {
        "asterisk": {
            "events": _merged(given.get("events"), known["events"]),
            "bus_events": _merged(given.get("bus_events"), known["bus_events"]),
            "events_serial": known["serial"],
        }
    }


def _ask(given, minion_id):
    from pbxlib import settings
    from pbxlib.errors import PbxError
    from pbxlib.odoo import Client

    kept = os.path.join(__opts__["cachedir"], "asterisk", f"events-{minion_id}.json")
    try:
        odoo = settings.resolve({"odoo": dict(given["odoo"])})["odoo"]
        odoo.update(connect_timeout=TIMEOUT, read_timeout=TIMEOUT)
        ami = given.get("ami")
        any_name = isinstance(ami, dict) and bool(ami.get("read"))
        known = _checked(Client(odoo).call("asterisk_plus.event", "get_map"), any_name)
        settings.save(kept, known)
        return known
    except (PbxError, OSError) as error:
        last = settings.load(kept)
        log.warning(
            "The event map of %s is %s: %s",
            minion_id,
            "the last one that Odoo gave" if last else "without Odoo's records",
            error,
        )
        return last


def _checked(known, any_name=False):
    """The map that Odoo answered, without the routes that this PBX could not use: a record that
    is wrong must not keep the others, or the whole pillar, from it.

    ``any_name``: AMI events that Asterisk does not document may be named, too.
    """
    from pbxlib.classes import class_of
    from pbxlib.errors import PbxError

    if not (
        isinstance(known, dict)
        and isinstance(known.get("serial"), str)
        and all(isinstance(known.get(key), dict) for key in _MAPS)
        and all(isinstance(routes, list) for key in _MAPS for routes in known[key].values())
    ):
        raise PbxError("asterisk_plus.event.get_map answered in another form than this version's")
    checked = {"serial": known["serial"]}
    for key in _MAPS:
        checked[key] = {}
        for name, routes in known[key].items():
            if key == "events" and class_of(name) is None and not any_name:
                log.warning("Odoo's routes of %s are left out: Asterisk has no such event", name)
                continue
            usable = [route for route in routes if _is_usable(key, name, route)]
            if usable:
                checked[key][name] = usable
    return checked


def _is_usable(key, name, route):
    from pbxlib.errors import PbxError
    from pbxlib.events import EventMap

    try:
        EventMap(**{key: {name: [route]}})
    except PbxError as error:
        log.warning("Odoo's route of %s to %s is left out: %s", name, _target(route), error)
        return False
    return True


def _merged(ours, theirs):
    """Routes of both; one that names the same model and method as ours stays ours."""
    if not isinstance(ours or {}, dict):
        return ours  # the minion names what is wrong with it
    merged = dict(ours or {})
    for name, routes in theirs.items():
        mine = merged.get(name) or []
        if not isinstance(mine, list):
            continue
        taken = {_target(route) for route in mine}
        merged[name] = mine + [route for route in routes if _target(route) not in taken]
    return json.loads(json.dumps(merged))


def _target(route):
    return (route.get("model"), route.get("method")) if isinstance(route, dict) else None
