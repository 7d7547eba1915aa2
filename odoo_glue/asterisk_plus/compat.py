"""What differs between Odoo's series at run time, and nothing else."""

from odoo import api, release, sql_db

# A handler that is private cannot be called over RPC at all. Before 19 its own group check is
# what keeps strangers out.
private = getattr(api, "private", lambda method: method)


def clear_cache(env):
    """Forget what ``tools.ormcache`` holds, in every worker once the transaction commits."""
    if hasattr(env.registry, "clear_cache"):
        env.registry.clear_cache()
    else:
        env["ir.model"].clear_caches()


def group_field(env):
    """The name of the field that holds a user's groups."""
    return "group_ids" if "group_ids" in env["res.users"]._fields else "groups_id"


def new_api_key(user, name):
    """A new API key without expiry for ``user``, as text; Odoo keeps only its hash.

    A user without a type may not make one himself: superuser rights stand in for the wizard.
    """
    keys = user.env["res.users.apikeys"].with_user(user).sudo()
    if "expiration_date" in keys._fields:
        return keys._generate("rpc", name, None)
    return keys._generate("rpc", name)


def flush(cr):
    """Write to the database what the ORM still holds of the transaction."""
    if hasattr(type(cr), "flush"):
        cr.flush()
    else:
        sql_db.flush_env(cr, clear=False)


def show_notification(user, content):
    """Show ``{title, message, sticky, type}`` in the user's browser. ``type``: info or warning."""
    bus = user.env["bus.bus"].sudo()
    partner = user.sudo().partner_id
    if hasattr(bus, "_sendone"):
        # Up to 16 the colour hangs on another key, whose absence means danger.
        content = {**content, "warning": True}
        bus._sendone(partner, "simple_notification", content)
    else:
        content = {**content, "warning": True, "type": "simple_notification"}
        bus.sendone((user.env.cr.dbname, "res.partner", partner.id), content)


def run_soon(cron):
    """Have ``cron`` run as soon as the transaction is committed, where Odoo can: from 15 on."""
    if hasattr(cron, "_trigger"):
        cron._trigger()


# On 14 they are lists of the class, which its modules change in place.
SELF_FIELDS_ARE_PROPERTIES = release.version_info[0] > 14
# Contacts had a second number until 19.
HAS_MOBILE = release.version_info[0] < 19
PHONE_FIELDS = ("phone", "mobile") if HAS_MOBILE else ("phone",)
NUMBER_FIELDS = (
    ("asterisk_plus_number", "asterisk_plus_mobile") if HAS_MOBILE else ("asterisk_plus_number",)
)
