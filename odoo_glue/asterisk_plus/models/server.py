import contextlib
import re
from datetime import timedelta
from urllib.parse import urlsplit

from odoo import api, fields, models, tools
from odoo.exceptions import UserError, ValidationError

from .. import compat, salt_api
from ..access import AGENT, MANAGER, require

# Salt refuses other characters in a minion id; a glob here would reach other PBXs.
_MINION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
ONLINE = timedelta(minutes=3)
_SAID = (
    "asterisk",
    "ami",
    "channels",
    "outbox_depth",
    "outbox_since",
    "outbox_rate",
    "outbox_failed",
    "outbox_error",
    "outbox_next_try",
)


class Server(models.Model):
    """A PBX: its Salt minion, the way to it through salt-api, and the user that it logs in as."""

    _name = "asterisk_plus.server"
    _description = "PBX"
    _order = "name"

    name = fields.Char(required=True)
    active = fields.Boolean(default=True)
    minion_id = fields.Char(required=True, help="The PBX's minion id in Salt.")
    user_id = fields.Many2one(
        "res.users",
        "Agent user",
        readonly=True,
        copy=False,
        ondelete="restrict",
        groups=MANAGER + "," + AGENT,
        help="Who the PBX logs in as. Made with its first key.",
    )
    salt_api_url = fields.Char(
        "salt-api address",
        groups=MANAGER,
        help="For example https://hub.example.com:8000. "
        "Another scheme, host or port takes the password anew.",
    )
    salt_api_user = fields.Char("User", groups=MANAGER)
    salt_api_eauth = fields.Char(
        "External auth",
        default="file",
        groups=MANAGER,
        help="The name under external_auth in the Salt master's configuration.",
    )
    salt_api_password = fields.Char(
        "Password",
        compute="_compute_salt_api_password",
        inverse="_inverse_salt_api_password",
        copy=False,
        groups=MANAGER,
        help="Can be written and never read.",
    )
    salt_api_ca = fields.Text(
        "CA certificate",
        groups=MANAGER,
        help="PEM text of the CA that signed salt-api's certificate. Empty: the system's CAs.",
    )
    dial_context = fields.Char(
        "Dialling context",
        default="from-internal",
        required=True,
        help="Where in the dialplan a clicked number is dialled.",
    )
    state = fields.Selection(
        [
            ("new", "Never heard of"),
            ("silent", "Silent"),
            ("trouble", "No Asterisk"),
            ("online", "Online"),
        ],
        compute="_compute_status",
        help="Silent: it has not called Odoo for three minutes.",
    )
    last_seen = fields.Datetime(compute="_compute_status", help="The PBX last called Odoo.")
    last_start = fields.Datetime(compute="_compute_status", help="The PBX's minion last started.")
    status_time = fields.Datetime("As of", compute="_compute_status")
    asterisk = fields.Char(compute="_compute_status")
    ami = fields.Char("AMI", compute="_compute_status")
    channels = fields.Integer(compute="_compute_status")
    outbox_depth = fields.Integer("Waiting in the outbox", compute="_compute_status")
    outbox_since = fields.Datetime("The oldest since", compute="_compute_status")
    outbox_rate = fields.Float("Delivered a second", compute="_compute_status")
    outbox_failed = fields.Integer("Set aside there", compute="_compute_status")
    outbox_error = fields.Char("Last error of the delivery", compute="_compute_status")
    outbox_next_try = fields.Datetime("Next try", compute="_compute_status")
    done_count = fields.Integer("Delivered", compute="_compute_status")
    failed_count = fields.Integer("Failed", compute="_compute_status")
    refused_count = fields.Integer("Refused", compute="_compute_status")

    _minion_id_unique = models.Constraint(
        "unique (minion_id)", "Another server has this minion id already."
    )

    def init(self):
        require(self.env)
        # The password is a column without a field: nothing that RPC reads, searches or groups
        # by can name it.
        self.env.cr.execute(
            """
            ALTER TABLE asterisk_plus_server ADD COLUMN IF NOT EXISTS salt_api_secret varchar;
            CREATE UNIQUE INDEX IF NOT EXISTS asterisk_plus_server_agent
                ON asterisk_plus_server (user_id);
            """
        )

    def _compute_salt_api_password(self):
        self.salt_api_password = False

    def _inverse_salt_api_password(self):
        self.flush_model()
        for server in self:
            self.env.cr.execute(
                "UPDATE asterisk_plus_server SET salt_api_secret = %s WHERE id = %s",
                [server.salt_api_password or None, server.id],
            )
        self.invalidate_recordset(["salt_api_password"])

    def _compute_status(self):
        rows = self.env["asterisk_plus.status"].sudo().search([("server_id", "in", self.ids)])
        by_server = {row.server_id.id: row for row in rows}
        now = fields.Datetime.now()
        for server in self:
            row = by_server.get(server.id, rows.browse())
            server.last_seen = row.last_seen
            server.last_start = row.last_start
            if not row.last_seen:
                server.state = "new"
            elif now - row.last_seen > ONLINE:
                server.state = "silent"
            else:
                server.state = "trouble" if row.asked and not row.asterisk else "online"
            server.status_time = row.asked
            for name in _SAID:
                server[name] = row[name]
            server.done_count = row.done_count
            server.failed_count = row.failed_count
            server.refused_count = row.refused_count

    @api.constrains("minion_id")
    def _check_minion_id(self):
        for server in self:
            if not _MINION_ID.fullmatch(server.minion_id):
                raise ValidationError(
                    self.env._(
                        "%r is not a minion id: letters, digits, '.', '-' and '_' only.",
                        server.minion_id,
                    )
                )

    @api.constrains("salt_api_url")
    def _check_salt_api_url(self):
        for server in self.sudo().filtered("salt_api_url"):
            parts = _address(server.salt_api_url)
            if not parts:
                raise ValidationError(
                    self.env._(
                        "%r is not an address: write https://hub.example.com:8000",
                        server.salt_api_url,
                    )
                )
            scheme, host, _port = parts
            if scheme == "http" and host not in _LOOPBACK:
                raise ValidationError(
                    self.env._(
                        "%r would send the password in clear text: write https://",
                        server.salt_api_url,
                    )
                )

    @api.constrains("salt_api_ca")
    def _check_salt_api_ca(self):
        for server in self.sudo().filtered("salt_api_ca"):
            try:
                salt_api.tls_context(server.salt_api_ca)
            except salt_api.SaltApiError as error:
                raise ValidationError(str(error)) from error

    @api.model
    def _of_agent(self):
        """The server whose agent the current user is, with superuser rights, or none."""
        return self.sudo().browse(self._id_of_agent())

    # Handlers of one event ask for it once an event.
    @tools.ormcache("self.env.uid")
    def _id_of_agent(self):
        return self.sudo().search([("user_id", "=", self.env.uid)], limit=1).ids

    @api.model_create_multi
    def create(self, vals_list):
        servers = super().create(vals_list)
        # A default of the context is no value of the list.
        if servers.sudo().user_id:
            require(self.env)
        compat.clear_cache(self.env)
        return servers

    def write(self, vals):
        # Who names the agent gets a key of that user.
        if "user_id" in vals:
            require(self.env)
        before = {server.id: _address(server.salt_api_url) for server in self.sudo()}
        done = super().write(vals)
        if not vals.get("salt_api_password"):
            # The password is for the host that it was entered for.
            moved = self.sudo().filtered(
                lambda server: _address(server.salt_api_url) != before[server.id]
            )
            moved.salt_api_password = False
        if {"user_id", "active"} & vals.keys():
            compat.clear_cache(self.env)
        return done

    def unlink(self):
        agents = self.sudo().user_id
        done = super().unlink()
        self._end_keys(agents)
        compat.clear_cache(self.env)
        return done

    def _salt_api(self):
        """How to reach salt-api; raises ``UserError`` when something is not filled in."""
        self.ensure_one()
        server = self.sudo()
        self.env.cr.execute(
            "SELECT salt_api_secret FROM asterisk_plus_server WHERE id = %s", [server.id]
        )
        (password,) = self.env.cr.fetchone()
        wanted = {
            self.env._("salt-api address"): server.salt_api_url,
            self.env._("User"): server.salt_api_user,
            self.env._("Password"): password,
        }
        missing = [label for label, value in wanted.items() if not value]
        if missing:
            raise UserError(
                self.env._(
                    "Fill in on the page of the server %(name)s: %(fields)s.",
                    name=server.name,
                    fields=", ".join(missing),
                )
            )
        return salt_api.Account(
            server.salt_api_url,
            server.salt_api_user,
            password,
            server.salt_api_eauth or "file",
            server.salt_api_ca or "",
        )

    def generate_agent_key(self):
        """A fresh API key (text) for the PBX to log in with; the keys before it end.

        Makes the agent user when there is none: its login is the minion id, it has no password
        and no group but the agent's.
        """
        require(self.env, MANAGER)
        self.ensure_one()
        server = self.sudo()
        if not server.user_id:
            server.user_id = server._new_agent()
        agent = server.user_id
        if not agent.share or not agent.has_group(AGENT):
            raise UserError(
                self.env._("The user %r is no PBX's agent: a person gets no key here.", agent.login)
            )
        self._end_keys(agent)
        return compat.new_api_key(agent, self.env._("PBX %s", server.minion_id))

    def _end_keys(self, agents):
        self.env["res.users.apikeys"].sudo().search([("user_id", "in", agents.ids)]).unlink()

    def _new_agent(self):
        """The user that the PBX logs in as: a new one, or that of a server that was deleted."""
        users = self.env["res.users"].sudo().with_context(no_reset_password=True, active_test=False)
        known = users.search([("login", "=", self.minion_id)])
        if known:
            groups = known[compat.group_field(self.env)]
            servers = self.with_context(active_test=False)
            if groups == self.env.ref(AGENT) and not servers.search_count(
                [("user_id", "=", known.id)]
            ):
                known.active = True
                return known
            raise UserError(
                self.env._(
                    "There is a user %r already: the PBX's own user would have this login.",
                    self.minion_id,
                )
            )
        return users.create(
            {
                "name": self.name,
                "login": self.minion_id,
                compat.group_field(self.env): [(6, 0, self.env.ref(AGENT).ids)],
            }
        )

    def action_new_agent_key(self):
        """Show a fresh key once, in Odoo's own dialog for keys."""
        key = self.generate_agent_key()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Key of %s", self.minion_id),
            "res_model": "res.users.apikeys.show",
            "views": [(False, "form")],
            "target": "new",
            "context": {"default_key": key},
        }

    @api.model
    @compat.private
    def on_minion_start(self, event):
        """Handler of ``salt/minion/*/start``: remember when the PBX's minion started."""
        require(self.env, AGENT)
        server = self._of_agent()
        self.env["asterisk_plus.status"].sudo()._started(server)
        server._ask_status()
        return True


def _address(url):
    """``(scheme, host, port)`` of salt-api's address, or None for what is no address."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(url or "")
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts.scheme, parts.hostname, parts.port
    return None
