# This formula's own modules, synced before any state that calls them, and the check of the
# pillar that everything else stands on.
{%- set synced = 'asterisk.settings_errors' in salt %}

asterisk-extensions:
{%- if opts.test and synced %}
  # Under test=True the state below says "would have been run" whatever there is to sync.
  test.nop:
    - order: 1
{%- else %}
  saltutil.sync_all:
    - order: 1
    - refresh: true
    - reload_modules: true
{%- endif %}

{%- if synced or not opts.test %}

asterisk-pillar:
  asterisk.settings_valid:
    - order: 2
    - failhard: true
    - require:
      - id: asterisk-extensions
{%- endif %}
