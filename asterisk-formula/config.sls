# Every file that the pillar or the defaults name, by one template.
{%- from 'asterisk-formula/map.jinja' import asterisk, config, files with context %}

include:
  - asterisk-formula.extensions
{%- if asterisk.install.method in ('package', 'source') %}
  - asterisk-formula.{{ asterisk.install.method }}
{%- endif %}

{%- for file in config %}
{%-   set known = files.get(file) or {} %}

asterisk-{{ file }}:
  file.managed:
    - name: {{ asterisk.etc }}/{{ file }}
    - source: salt://asterisk-formula/files/conf.jinja
    - template: jinja
    - context:
        file: {{ file | json }}
    - user: root
    - group: {{ asterisk.group }}
    - mode: '0640'
    - show_changes: {{ known.get('public', false) | json }}
    - require:
      - id: asterisk-extensions
{%-   if asterisk.install.method in ('package', 'source') %}
      - sls: asterisk-formula.{{ asterisk.install.method }}
{%-   endif %}
{%- endfor %}
