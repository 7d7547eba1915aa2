from collections import defaultdict

from odoo import api, fields, models

from .. import compat, numbers

# Of each number, the newest: a switchboard's has more than anybody will look at.
CLAIMED = 1000


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

    @api.model_create_multi
    def create(self, vals_list):
        partners = super().create(vals_list)
        partners._asterisk_plus_claim()
        return partners

    def write(self, vals):
        done = super().write(vals)
        if {"country_id", *compat.PHONE_FIELDS} & vals.keys():
            partners = self
            if "country_id" in vals:
                partners |= self._asterisk_plus_of_country()
            partners._asterisk_plus_claim()
        return done

    def _asterisk_plus_of_country(self):
        """Those whose numbers are read by a company's country, when that is among these.

        A company's country is its contact's. Their numbers are computed again.
        """
        companies = self.env["res.company"].sudo().search([("partner_id", "in", self.ids)])
        if not companies:
            return self.browse()
        of_companies = companies.ids + ([False] if self.env.company in companies else [])
        wanted = [("country_id", "=", False), ("company_id", "in", of_companies)]
        partners = self.sudo().with_context(active_test=False).search(wanted)
        for name in compat.NUMBER_FIELDS:
            self.env.add_to_compute(self._fields[name], partners)
        return partners

    def _asterisk_plus_claim(self):
        """Have earlier calls that are nobody's be these contacts', by their numbers.

        What was found to be somebody's stays so, whose number it may be now.
        """
        partners = self.sudo()
        wanted = {partner[name] for partner in partners for name in compat.NUMBER_FIELDS} - {False}
        if not wanted:
            return
        self.env["asterisk_plus.call"].flush_model()
        servers = self.env["asterisk_plus.server"].sudo().with_context(active_test=False)
        agents = servers.search([("user_id", "!=", False)]).user_id
        for company in agents.company_id:
            owners = self._asterisk_plus_owners(wanted, company)
            self.env.cr.execute(
                """
                UPDATE asterisk_plus_call SET partner_id = found.owner
                FROM (
                    SELECT call.id, owners.id AS owner
                    FROM unnest(%s::varchar[], %s::integer[]) AS owners (number, id),
                    LATERAL (
                        SELECT id FROM asterisk_plus_call
                        WHERE number = owners.number AND partner_id IS NULL
                            AND direction IN ('in', 'out')
                            AND server_id IN (
                                SELECT server.id FROM asterisk_plus_server AS server
                                JOIN res_users AS agent ON agent.id = server.user_id
                                WHERE agent.company_id = %s
                            )
                        ORDER BY id DESC LIMIT %s
                    ) AS call
                ) AS found
                WHERE asterisk_plus_call.id = found.id
                """,
                [list(owners), list(owners.values()), company.id, CLAIMED],
            )
        self.env["asterisk_plus.call"].invalidate_model(["partner_id"])

    @api.model
    def _asterisk_plus_owners(self, wanted, company):
        """``{number: partner id}`` for those E.164 numbers that are one contact's of ``company``.

        Contacts that are no company's own are all companies'.
        A number of several people of one company is the company's; otherwise it tells nothing.
        """
        if not wanted:
            return {}
        owners = defaultdict(self.browse)
        for field in compat.NUMBER_FIELDS:
            theirs = [(field, "in", list(wanted)), ("company_id", "in", [False, company.id])]
            for partner in self.sudo().search(theirs, order="id"):
                owners[partner[field]] |= partner
        found = {}
        for number, partners in owners.items():
            owner = partners if len(partners) == 1 else partners.commercial_partner_id
            if len(owner) == 1:
                found[number] = owner.id
        return found
