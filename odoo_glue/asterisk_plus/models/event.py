import hashlib
import json
import logging

from odoo import api, fields, models, tools
from odoo.exceptions import ValidationError

from .. import compat
from ..access import AGENT, MANAGER, require
from ..conditions import check_condition, check_keep, check_seconds
from ..event_names import DOCUMENTED

_logger = logging.getLogger(__name__)

_MAPS = {"AMI": "events", "Salt": "bus_events"}


class Event(models.Model):
    """A route: which event of a PBX goes to which method of Odoo."""

    _name = "asterisk_plus.event"
    _description = "PBX event"
    _order = "source, name, id"

    name = fields.Char(
        required=True,
        help="The AMI event's name (Cdr), or the glob of a Salt tag: salt/minion/*/start, "
        "asterisk/ami/state, salt/job/*/ret/* (of asterisk:hub:job_returns in the hub's pillar), "
        "and whatever a reactor gives asterisk.bus_event.",
    )
    source = fields.Selection(
        [("AMI", "Asterisk (AMI)"), ("Salt", "Salt bus")], required=True, default="AMI"
    )
    model = fields.Char(required=True)
    method = fields.Char(required=True)
    enabled = fields.Boolean(default=True)
    batch = fields.Boolean(help="The method takes a list of events instead of one.")
    condition = fields.Char(
        help="A Jinja2 expression over 'event', for example event.Disposition == 'ANSWERED'."
    )
    delay = fields.Float(help="Seconds to wait before it is sent.")
    keep = fields.Char(help="How long it is worth delivering: 30s, 5m, 2h, 7d or forever.")
    latest_by = fields.Char(help="While it waits, only the newest of each value of this header.")
    error = fields.Char(readonly=True, copy=False, help="Why the route is not in force.")
    note = fields.Char(compute="_compute_note", help="What may keep the PBXs from using it.")
    # Last, because it hides Odoo's module of that name from the rest of the class body.
    fields = fields.Char("Headers", help="What to send, comma separated. Empty: all.")

    @api.depends("name", "source")
    def _compute_note(self):
        for event in self:
            unknown = event.source == "AMI" and (event.name or "").lower() not in DOCUMENTED
            event.note = unknown and self.env._(
                "Asterisk documents no event of this name, so a PBX leaves the route out, unless "
                "asterisk:ami:read in its pillar names the classes that its account reads."
            )

    @api.model_create_multi
    def create(self, vals_list):
        events = super().create(vals_list)
        events._validate()
        events._map_changed()
        return events

    def write(self, vals):
        result = super().write(vals)
        if set(vals) != {"error"}:
            self._validate()
        self._map_changed()
        return result

    def unlink(self):
        result = super().unlink()
        self._map_changed()
        return result

    def _register_hook(self):
        # Only now is every module's model there. A route that broke, or that works at last,
        # says so on its record.
        super()._register_hook()
        for event in self.sudo().search([]):  # pylint: disable=no-search-all
            error = event._fault() or False
            if error != event.error:
                if error:
                    _logger.warning("PBX event %s is not in force: %s", event.name, error)
                event.error = error
        if self.env.registry.updated_modules:
            self._push_later()

    def _push_later(self):
        """Push the map once this process is done with the modules that it installs.

        Not before: the map is read by other workers, which do not know the modules yet.
        """
        cron = self.env.ref("asterisk_plus.cron_push_map", raise_if_not_found=False)
        if cron:
            compat.run_soon(cron)

    def _validate(self):
        """Refuse what cannot work; while modules are being installed, note it instead."""
        for event in self:
            fault = event._fault() or False
            # One that is switched off does no harm: its module may be gone.
            if fault and event.enabled and self.env.registry.ready:
                raise ValidationError(
                    self.env._(
                        "The PBX event %(name)s cannot work: %(fault)s",
                        name=event.name,
                        fault=fault,
                    )
                )
            if fault != event.error:
                event.error = fault

    def _fault(self):
        """Why this route cannot work, in words, or None."""
        model = self.env.registry.get(self.model)
        if model is None:
            return self.env._("there is no model %r.", self.model)
        if self.method.startswith("_"):
            return self.env._(
                "the method %r starts with an underscore, which marks it as internal.", self.method
            )
        if not callable(getattr(model, self.method, None)):
            return self.env._(
                "the model %(model)s has no method %(method)r.",
                model=self.model,
                method=self.method,
            )
        for name, label, check in (
            ("delay", self.env._("its delay"), check_seconds),
            ("condition", self.env._("its condition"), check_condition),
            ("keep", self.env._("keep"), check_keep),
        ):
            try:
                if self[name]:
                    check(self[name])
            except ValueError as error:
                return f"{label}: {error}"
        return None

    def _route(self):
        """This record as a route of the pillar: only the keys that are set."""
        route = {"model": self.model, "method": self.method}
        if self.batch:
            route["batch"] = True
        if self.delay:
            route["delay"] = self.delay
        for key in ("condition", "keep", "latest_by"):
            if self[key]:
                route[key] = self[key]
        headers = [name.strip() for name in (self.fields or "").split(",") if name.strip()]
        if headers:
            route["fields"] = headers
        return route

    @api.model
    @tools.ormcache()
    def _map_json(self):
        content = {"events": {}, "bus_events": {}}
        for event in self.sudo().search([("enabled", "=", True), ("error", "=", False)]):
            content[_MAPS[event.source]].setdefault(event.name, []).append(event._route())
        text = json.dumps(content, sort_keys=True)
        serial = hashlib.sha256(text.encode()).hexdigest()[:12]
        return json.dumps({"serial": serial, **content})

    @api.model
    @tools.ormcache()
    def _serial(self):
        return json.loads(self._map_json())["serial"]

    @api.model
    @tools.ormcache()
    def _handlers(self):
        """``{(model, method): {batch, ...}}`` for every route in force."""
        handlers = {}
        content = json.loads(self._map_json())
        for key in _MAPS.values():
            for routes in content[key].values():
                for route in routes:
                    batches = handlers.setdefault((route["model"], route["method"]), set())
                    batches.add(route.get("batch", False))
        return handlers

    @api.model
    def get_map(self):
        """The map for the PBXs: ``{"serial", "events": {name: [route]}, "bus_events": {…}}``."""
        require(self.env, AGENT, MANAGER)
        return json.loads(self._map_json())

    def _map_changed(self):
        compat.clear_cache(self.env)
        # While modules are being installed the serial in each answer tells the PBXs.
        if self.env.registry.ready:
            self.env["asterisk_plus.server"]._push_map()
