# The bridge to Odoo inside the minion: its Python packages, its engines, and one restart of the
# minion when what it runs is older than what is on disk.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}

include:
  - asterisk-formula.extensions

asterisk-bridge-packages:
  # Without bin_env pip is the one of the Python that Salt itself runs on, onedir or not.
  pip.installed:
    - pkgs:
      - pyst2 >= 0.5.1
    - reload_modules: true
    - require:
      - id: asterisk-extensions

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

asterisk-bridge-minion:
  service.running:
    - name: salt-minion
    - enable: true
    - require:
      - file: asterisk-bridge-engines
      - pip: asterisk-bridge-packages

asterisk-bridge-restart:
  asterisk.minion_current:
    - name: salt-minion
    - order: last
    - require:
      - service: asterisk-bridge-minion
