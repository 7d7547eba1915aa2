# Asterisk under the host's service manager, and changed files put in force.
{%- from 'asterisk-formula/map.jinja' import asterisk, build, config, files with context %}
{%- set apply = {} %}
{%- for file in (files | list + config | list) | unique if file in config %}
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
    # What a run wrote that was then broken off is put in force by the next one.
    - files:
{%-   for file in apply[module] %}
      - {{ salt['file.join'](asterisk.etc, file) }}
{%-   endfor %}
    - require:
      - sls: asterisk-formula.config
{%-   if asterisk.install.method != 'none' %}
      - service: asterisk-service
{%-   endif %}
{%- endfor %}

{%- if 'pjsip.conf' in config %}

asterisk-transports:
  # A reload leaves a changed transport as it was.
  asterisk.transports_current:
    - name: {{ asterisk.etc }}/pjsip.conf
    - require:
      - asterisk: asterisk-reload-{{ files['pjsip.conf'].apply }}
{%- endif %}

{%- set at_start = [] %}
{%- for file in apply.get('restart', []) %}
{%-   do at_start.append(salt['file.join'](asterisk.etc, file)) %}
{%- endfor %}
{%- if asterisk.install.method == 'source' %}
{%-   do at_start.append('/etc/systemd/system/' ~ asterisk.service ~ '.service') %}
{%- endif %}
{%- if at_start or 'pjsip.conf' in config %}

asterisk-restart:
  asterisk.restarted:
    - name: {{ asterisk.service }}
    - wait: {{ asterisk.restart.wait | json }}
    - then: {{ asterisk.restart.then | json }}
    - files: {{ at_start | json }}
{%-   if 'pjsip.conf' in config %}
    - transports_of: {{ asterisk.etc }}/pjsip.conf
{%-   endif %}
    - require:
      - sls: asterisk-formula.config
{%-   if 'pjsip.conf' in config %}
      - asterisk: asterisk-transports
{%-   endif %}
{%- endif %}
