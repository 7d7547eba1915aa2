from collections import defaultdict

from odoo import api, fields, models

from .. import compat, numbers


class Partner(models.Model):
    _inherit = "res.partner"

    # E.164, so that a caller is found however his number was written.
    asterisk_plus_number = fields.Char(
        compute="_compute_asterisk_plus_number", store=True, index=True
    )
    if compat.HAS_MOBILE:
        asterisk_plus_mobile = fields.Char(
            compute="_compute_asterisk_plus_number", store=True, index=True
        )

    @api.depends("country_id", *compat.PHONE_FIELDS)
    def _compute_asterisk_plus_number(self):
        for partner in self:
            country = partner.country_id or partner.company_id.country_id
            country = (country or self.env.company.country_id).code
            partner.asterisk_plus_number = numbers.e164(partner.phone, country)
            if compat.HAS_MOBILE:
                partner.asterisk_plus_mobile = numbers.e164(partner.mobile, country)

    @api.model
    def _asterisk_plus_owners(self, wanted):
        """``{number: partner id}`` for those E.164 numbers that are one contact's.

        A number of several people of one company is the company's; otherwise it tells nothing.
        """
        owners = defaultdict(self.browse)
        for field in compat.NUMBER_FIELDS:
            for partner in self.sudo().search([(field, "in", list(wanted))], order="id"):
                owners[partner[field]] |= partner
        found = {}
        for number, partners in owners.items():
            owner = partners if len(partners) == 1 else partners.commercial_partner_id
            if len(owner) == 1:
                found[number] = owner.id
        return found
