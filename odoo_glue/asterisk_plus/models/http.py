from odoo import models


class Http(models.AbstractModel):
    _inherit = "ir.http"

    def session_info(self):
        """Tell the browser whether a click on a number is to call it."""
        info = super().session_info()
        phones = self.env["asterisk_plus.user"].sudo()
        info["asterisk_plus_phone"] = bool(phones.search_count([("user_id", "=", self.env.uid)]))
        return info
