# Takes away what this formula put on a PBX: its files, engines, account and secrets, and Asterisk
# when the formula installed it. Call records, logs and what waits for Odoo stay.
{%- from 'asterisk-formula/map.jinja' import account_file, asterisk, config with context %}
{%- set etc = salt['file.dirname'](opts.conf_file) %}
{%- set method = asterisk.install.method %}

{%- if method in ('package', 'source') %}

asterisk-clean-service:
  service.dead:
    - name: {{ asterisk.service }}
    - enable: false
{%- endif %}
{%- if method == 'package' %}

asterisk-clean-package:
  pkg.removed:
    - pkgs: {{ asterisk.install.packages | json }}
    - require:
      - service: asterisk-clean-service
{%- elif method == 'source' %}

asterisk-clean-build:
  file.absent:
    - names:
      - /etc/systemd/system/{{ asterisk.service }}.service
      - /usr/src/asterisk-formula
      - /usr/sbin/asterisk
      - /usr/lib/asterisk
    - require:
      - service: asterisk-clean-service
{%- endif %}

asterisk-clean-files:
  file.absent:
    - names:
{%- for file in config if method != 'none' or file != account_file %}
      - {{ asterisk.etc }}/{{ file }}
{%- endfor %}
{%- for name in ['ami'] + (asterisk.endpoints | list | map('regex_replace', '^', 'endpoint-') | list) %}
      - {{ etc }}/asterisk/{{ name }}
{%- endfor %}
      - {{ etc }}/minion.d/asterisk.conf
{%- if method != 'none' %}
      - /etc/logrotate.d/asterisk
{%- endif %}
      - /etc/systemd/system/salt-minion.service.d/asterisk.conf

{%- if method == 'none' %}

asterisk-clean-account:
  file.replace:
    - name: {{ asterisk.etc }}/{{ account_file }}
    - pattern: '(?s); Salt asterisk-formula begins.*?; Salt asterisk-formula ends\n?'
    - repl: ''
    - show_changes: false
    - ignore_if_missing: true
    - backup: false
{%- endif %}

asterisk-clean-minion:
  # As in the bridge: the restart is made after this run has returned.
  cmd.run:
    - name: {{ salt['cmd.which']('salt-call') }} --local service.restart salt-minion
    - bg: true
    - order: last
    - onchanges:
      - file: asterisk-clean-files
