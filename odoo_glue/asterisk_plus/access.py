"""Who may call a public method: access lists guard records, not methods."""

from odoo.exceptions import AccessError

USER = "asterisk_plus.group_user"
MANAGER = "asterisk_plus.group_manager"
AGENT = "asterisk_plus.group_agent"

_NAMES = {USER: "Phone: User", MANAGER: "Phone: Manager", AGENT: "Phone: Agent of a PBX"}


def require(env, *groups):
    """Raise ``AccessError`` unless the caller is in one of ``groups`` or is trusted code (su).

    Without groups only trusted code passes.
    """
    if env.su or any(env.user.has_group(group) for group in groups):
        return
    if not groups:
        raise AccessError(env._("This is Odoo's own to call."))
    names = ", ".join(_NAMES[group] for group in groups)
    raise AccessError(env._("Only members of these groups may do this: %s.", names))
