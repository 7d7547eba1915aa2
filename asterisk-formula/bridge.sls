# The bridge to Odoo inside the minion: its engines, and one restart of the
# minion when what it runs is older than what is on disk.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}

include:
  - asterisk-formula.extensions
  - asterisk-formula.python

asterisk-bridge-engines:
  file.managed:
    - name: {{ salt['file.join'](salt['file.dirname'](opts.conf_file), 'minion.d', 'asterisk.conf') }}
    - source: salt://asterisk-formula/files/minion.conf
    - template: jinja
    - context:
        console: {{ (asterisk.console.enabled is sameas true) | json }}
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: true
    - require:
      - id: asterisk-extensions

{%- if grains.get('init') == 'systemd' %}

asterisk-bridge-unit:
  # A minion that was killed comes back; so does one that was restarted before the last one had
  # ended, which Salt refuses to start.
  file.managed:
    - name: /etc/systemd/system/salt-minion.service.d/asterisk.conf
    - contents: |
        [Service]
        Restart=on-failure
        RestartSec=5
    - user: root
    - group: root
    - mode: '0644'
    - makedirs: true
  module.run:
    - name: service.systemctl_reload
    - onchanges:
      - file: asterisk-bridge-unit
{%- endif %}

asterisk-bridge-minion:
  service.running:
    - name: salt-minion
    - enable: true
    - require:
      - file: asterisk-bridge-engines
      - pip: asterisk-bridge-packages
{%- if grains.get('init') == 'systemd' %}
      - module: asterisk-bridge-unit
{%- endif %}

asterisk-bridge-restart:
  asterisk.minion_current:
    - name: salt-minion
    - order: last
    - require:
      - service: asterisk-bridge-minion
