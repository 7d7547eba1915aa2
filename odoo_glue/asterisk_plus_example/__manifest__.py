{
    "name": "Asterisk Plus: an example",
    "summary": "Call statistics and click to call in a few lines of Odoo code",
    "version": "19.0.1.0.0",
    "category": "Phone",
    "author": "The asterisk-formula authors",
    "license": "LGPL-3",
    "depends": ["asterisk_plus"],
    "data": [
        "security/ir.model.access.csv",
        "data/events.xml",
    ],
}
