# Every file that the pillar or the defaults name, by one template.
{%- from 'asterisk-formula/map.jinja' import account_file, asterisk, config, files with context %}
{%- set ours = asterisk.install.method != 'none' %}
{%- set source = 'salt://asterisk-formula/files/conf.jinja' %}
{%- set marker_start = '; Salt asterisk-formula begins' %}
{%- set marker_end = '; Salt asterisk-formula ends' %}
{#- The bridge keeps the last pillar that it took. #}
{%- set gone = pillar.get('asterisk') is none and salt['file.file_exists'](
      salt['file.join'](opts.cachedir, 'asterisk', 'settings.json')) %}

include:
  - asterisk-formula.extensions
{%- if ours %}
  - asterisk-formula.{{ asterisk.install.method }}
  - asterisk-formula.rotation
{%- endif %}
{%- if asterisk.validate.lint %}
  - asterisk-formula.python
{%- endif %}
{%- if gone %}

asterisk-pillar-gone:
  # The defaults alone have no phone and no dialplan. Under test=True only the name is shown.
  test.fail_without_changes:
    - comment: &gone >-
        This minion's pillar had a key asterisk and has none now, so no file is written: see the
        pillar's top file. To have the defaults alone write asterisk: {} there.
    - name: *gone
{%- endif %}

asterisk-config-tested:
  # No file below is written when one of them has a fault.
  asterisk.config_tested:
    - name: {{ asterisk.etc }}
    - source: {{ source }}
    - files: {{ config | list | json }}
    - blocks: {{ ([] if ours else [account_file]) | json }}
    - marker_start: {{ marker_start | json }}
    - marker_end: {{ marker_end | json }}
    - user: {{ asterisk.user }}
    - group: {{ asterisk.group }}
    - references: {{ asterisk.validate.references | json }}
    - asterisk: {{ asterisk.validate.asterisk | json }}
    - lint: {{ asterisk.validate.lint | json }}
    - require:
      # The check of the pillar, too: under test=True its failhard stops nothing.
      - sls: asterisk-formula.extensions
{%- if gone %}
      - test: asterisk-pillar-gone
{%- endif %}
{%- if ours %}
      - sls: asterisk-formula.{{ asterisk.install.method }}
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
    - require:
      - asterisk: asterisk-config-tested
    - require_in:
      - file: asterisk-{{ file }}
{%-   endif %}

asterisk-{{ file }}:
{%-   if block %}
  # The file is its users', who may have accounts of their own in it.
  file.blockreplace:
    - marker_start: {{ marker_start | json }}
    - marker_end: {{ marker_end | json }}
    - append_if_not_found: true
    - backup: false
    # Under test=True it may not be there.
    - onlyif:
      - fun: file.file_exists
        path: {{ path }}
{%-   else %}
  file.managed:
    - user: root
    - group: {{ asterisk.group }}
    - mode: '0640'
{%-     if '/' in file %}
    - makedirs: true
    - dir_mode: '0750'
{%-     endif %}
{%-   endif %}
    - name: {{ path }}
    - source: {{ source }}
    - template: jinja
    - context:
        file: {{ file | json }}
    - show_changes: {{ (files.get(file) or {}).get('public', false) | json }}
    - require:
      - asterisk: asterisk-config-tested
{%- endfor %}
