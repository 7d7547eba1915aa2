# Every file that the pillar or the defaults name, by one template.
{%- from 'asterisk-formula/map.jinja' import account_file, asterisk, config, files with context %}
{%- set ours = asterisk.install.method != 'none' %}

include:
  - asterisk-formula.extensions
{%- if ours %}
  - asterisk-formula.{{ asterisk.install.method }}
  - asterisk-formula.rotation
{%- endif %}

{%- for file in config %}
{%-   set path = salt['file.join'](asterisk.etc, file) %}
{%-   set block = file == account_file and not ours %}
{%-   if block %}

asterisk-{{ file }}-exists:
  file.managed:
    - name: {{ path }}
    - replace: false
    - group: {{ asterisk.group }}
    - mode: '0640'
    - require_in:
      - file: asterisk-{{ file }}
{%-   endif %}

asterisk-{{ file }}:
{%-   if block %}
  # The file is its users', who may have accounts of their own in it.
  file.blockreplace:
    - marker_start: ; Salt asterisk-formula begins
    - marker_end: ; Salt asterisk-formula ends
    - append_if_not_found: true
    - backup: false
{%-   else %}
  file.managed:
    - user: root
    - group: {{ asterisk.group }}
    - mode: '0640'
{%-   endif %}
    - name: {{ path }}
    - source: salt://asterisk-formula/files/conf.jinja
    - template: jinja
    - context:
        file: {{ file | json }}
    - show_changes: {{ (files.get(file) or {}).get('public', false) | json }}
    - require:
      - id: asterisk-extensions
{%-   if ours %}
      - sls: asterisk-formula.{{ asterisk.install.method }}
{%-   endif %}
{%- endfor %}
