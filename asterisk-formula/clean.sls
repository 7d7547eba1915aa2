# Takes away what this formula put on a PBX: its files, engines, account and secrets, and Asterisk
# when the formula installed it. Call records, voicemail, logs and what waits for Odoo stay, and
# so do the user that owns them and packages that others may need, too: those for builds, logrotate,
# EPEL's, and the Python packages in Salt's Python.
{%- from 'asterisk-formula/map.jinja' import account_file, asterisk, builds, config, downloads,
      sounds with context %}
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
{%-   set repository = asterisk.install.repository %}
{%-   if repository %}

asterisk-clean-repository:
  pkgrepo.absent:
    - name: {{ repository.get('name', '') | json }}
    - require:
      - pkg: asterisk-clean-package
{%-     set key = repository.get('name', '') | regex_search('signed-by=([^] ,]+)') %}
{%-     if key and repository.get('key_url') %}
  file.absent:
    - name: {{ key[0] }}
{%-     endif %}
{%-   endif %}
{%- elif method == 'source' %}
{%-   for sound in sounds %}

asterisk-clean-sounds-{{ loop.index }}:
  asterisk_build.sounds_absent:
    - name: {{ sound.folder }}
    - archive: {{ sound.archive }}
    - require_in:
      - file: asterisk-clean-build
{%-   endfor %}

asterisk-clean-build:
  asterisk_build.absent:
    - name: {{ builds }}
    - require:
      - service: asterisk-clean-service
  file.absent:
    - names:
      - /etc/systemd/system/{{ asterisk.service }}.service
      - {{ downloads }}
{%-   if salt['file.is_link']('/usr/sbin/asterisk')
          and salt['file.readlink']('/usr/sbin/asterisk').startswith(builds ~ '/') %}
      - /usr/sbin/asterisk
{%-   endif %}
    - require:
      - service: asterisk-clean-service
  module.run:
    - name: service.systemctl_reload
    - onchanges:
      - file: asterisk-clean-build
{%- endif %}

asterisk-clean-files:
  file.absent:
    - names:
{%- for file in config if method != 'none' or file != account_file %}
      - {{ asterisk.etc }}/{{ file }}
{%- endfor %}
      # The secrets that were made here, and the pillar and the reloads that are remembered.
      - {{ etc }}/asterisk
{%- for name in ['settings', 'transports', 'reloads'] %}
      - {{ salt['file.join'](opts.cachedir, 'asterisk', name ~ '.json') }}
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
  asterisk.minion_restarted:
    - name: salt-minion
    - order: last
    - onchanges:
      - file: asterisk-clean-files
