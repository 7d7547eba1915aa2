# Logs and call records are rotated by logrotate, as it is on every distribution.
{%- from 'asterisk-formula/map.jinja' import asterisk, config with context %}
{%- set method = asterisk.install.method %}
{%- if 'cel_custom.conf' in config %}

include:
  - asterisk-formula.{{ method }}

asterisk-cel-folder:
  # No package makes it, and Asterisk does not either.
  file.directory:
    - name: /var/log/asterisk/cel-custom
    - user: {{ asterisk.user }}
    - group: {{ asterisk.group }}
    - mode: '0755'
    - require:
      - sls: asterisk-formula.{{ method }}
{%- endif %}

asterisk-rotation-package:
  pkg.installed:
    - name: logrotate

asterisk-rotation:
  file.managed:
    # Where packages of Asterisk have theirs: two blocks for one log are an error to logrotate.
    - name: /etc/logrotate.d/asterisk
    - source: salt://asterisk-formula/files/logrotate
    - template: jinja
    - context:
        user: {{ asterisk.user }}
        group: {{ asterisk.group }}
        lines: {{ asterisk.rotation | json }}
    - user: root
    - group: root
    - mode: '0644'
    - require:
      - pkg: asterisk-rotation-package
