# Asterisk under the host's service manager, and changed files put in force.
{%- from 'asterisk-formula/map.jinja' import asterisk, build, config, files with context %}
{%- set apply = {} %}
{%- for file in config %}
{%-   do apply.setdefault((files.get(file) or {}).get('apply', 'all'), []).append(file) %}
{%- endfor %}

include:
  - asterisk-formula.config

{%- if asterisk.install.method == 'source' %}

asterisk-build-current:
  # Before the service, which may not run because of the build that this takes the place of.
  asterisk_build.current:
    - name: {{ build }}
    - service: {{ asterisk.service }}
    - wait: {{ asterisk.restart.wait | json }}
    - then: {{ asterisk.restart.then | json }}
    - require:
      - sls: asterisk-formula.config
{%- endif %}
{%- if asterisk.install.method != 'none' %}

asterisk-service:
  service.running:
    - name: {{ asterisk.service }}
    - enable: true
    - require:
      - sls: asterisk-formula.config
{%- endif %}

{%- for module in apply if module != 'restart' %}

asterisk-reload-{{ module }}:
  asterisk.reloaded:
    - name: {{ module }}
    - require:
      - sls: asterisk-formula.config
{%-   if asterisk.install.method != 'none' %}
      - service: asterisk-service
{%-   endif %}
    - onchanges:
{%-   for file in apply[module] %}
      - file: asterisk-{{ file }}
{%-   endfor %}
{%- endfor %}

{%- if 'pjsip.conf' in config %}

asterisk-transports:
  # A reload leaves a changed transport as it was.
  asterisk.transports_current:
    - name: {{ asterisk.etc }}/pjsip.conf
    - require:
      - asterisk: asterisk-reload-{{ files['pjsip.conf'].apply }}
{%- endif %}

{%- if 'restart' in apply or 'pjsip.conf' in config %}

asterisk-restart:
  asterisk.restarted:
    - name: {{ asterisk.service }}
    - wait: {{ asterisk.restart.wait | json }}
    - then: {{ asterisk.restart.then | json }}
    - require:
      - sls: asterisk-formula.config
{%-   for module in apply if module != 'restart' %}
      - asterisk: asterisk-reload-{{ module }}
{%-   endfor %}
    - onchanges:
{%-   for file in apply.get('restart', []) %}
      - file: asterisk-{{ file }}
{%-   endfor %}
{%-   if 'pjsip.conf' in config %}
      - asterisk: asterisk-transports
{%-   endif %}
{%-   if asterisk.install.method == 'source' %}
      - file: asterisk-unit
{%-   endif %}
{%- endif %}
