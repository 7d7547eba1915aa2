# A PBX from pillar: Asterisk, its files, its service, and the bridge to Odoo.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}
{%- set method = asterisk.install.method %}
{%- set synced = 'asterisk.settings_errors' in salt %}

include:
  - asterisk-formula.extensions
{%- if method == 'package' %}
  - asterisk-formula.package
{%- endif %}
{%- if synced or not opts.test %}
{%-   if method == 'source' %}
  - asterisk-formula.source
{%-   endif %}
  - asterisk-formula.config
  - asterisk-formula.service
  - asterisk-formula.bridge
{%- else %}

asterisk-unsynced:
  test.show_notification:
    - text: >-
        This minion has not the formula's modules yet, and test=True does not sync them.
        Run saltutil.sync_all to see the rest of what would be done.
{%- endif %}
