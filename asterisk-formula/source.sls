# Asterisk from source: a tarball with an enforced checksum, built once for each set of options.
# A build gets a prefix of its own below /opt/asterisk; service.sls puts a new one in force.
{%- from 'asterisk-formula/map.jinja' import asterisk, build, builds, downloads, externals, sounds,
      source with context %}

include:
  - asterisk-formula.extensions

{%- if grains.get('init') != 'systemd' %}

asterisk-source:
  # Under test=True only the name is shown.
  test.fail_without_changes:
    - comment: &unit >-
        asterisk:install:method source runs Asterisk by a systemd unit, and this host is under
        {{ grains.get('init', 'another') }}. Set it to package, or to none beside an Asterisk of your own.
    - name: *unit
    - failhard: true
{%- endif %}

asterisk-build-packages:
  pkg.installed:
    - pkgs: {{ source.get('build_packages', asterisk.build_packages) | json }}
    - install_recommends: false

asterisk-user:
  user.present:
    - name: {{ asterisk.user }}
    - system: true
    - home: /var/lib/asterisk
    - createhome: false
    - shell: /usr/sbin/nologin
    - usergroup: true

{#- A file by its address and its checksum, which Salt by itself does not look at for salt://. #}
{%- macro download(id, path, given, needed_by) %}

{{ id }}:
  file.managed:
    - name: {{ path }}
    - source: {{ given.get('url', '') | json }}
    - source_hash: {{ given.get('checksum', '') | json }}
    - makedirs: true
  asterisk_build.verified:
    - name: {{ path }}
    - checksum: {{ given.get('checksum', '') | json }}
    - require:
      - file: {{ id }}
      - id: asterisk-extensions
    - require_in:
      - asterisk_build: {{ needed_by }}
{%- endmacro %}
{%- for external in externals if external is mapping and external.get('url') %}
{{- download('asterisk-external-' ~ loop.index,
      downloads ~ '/externals/' ~ salt['file.basename'](external.url), external, 'asterisk-build') }}
{%- endfor %}
{{- download('asterisk-tarball', downloads ~ '/tarball', source, 'asterisk-build') }}

asterisk-build:
  asterisk_build.present:
    - name: {{ build }}
    - tarball: {{ downloads }}/tarball
    - configure: {{ source.get('configure', []) | json }}
    - menuselect: {{ source.get('menuselect', []) | json }}
    - externals: {{ downloads }}/externals
    - require:
      - pkg: asterisk-build-packages
      - id: asterisk-extensions

asterisk-program:
  # Where Asterisk is looked for. One that somebody else put there is left alone, and said.
  file.symlink:
    - name: /usr/sbin/asterisk
    - target: {{ builds }}/current/sbin/asterisk
    - require:
      - asterisk_build: asterisk-build

asterisk-folders:
  file.directory:
    - names:
      - {{ asterisk.etc }}
      - /var/cache/asterisk
{%- for folder in ['', '/agi-bin', '/keys', '/moh', '/phoneprov', '/sounds'] %}
      - /var/lib/asterisk{{ folder }}
{%- endfor %}
{%- for folder in ['', '/cdr-csv', '/cdr-custom', '/cel-custom'] %}
      - /var/log/asterisk{{ folder }}
{%- endfor %}
{%- for folder in ['', '/monitor', '/outgoing', '/recording', '/system', '/tmp', '/voicemail'] %}
      - /var/spool/asterisk{{ folder }}
{%- endfor %}
    - user: {{ asterisk.user }}
    - group: {{ asterisk.group }}
    - mode: '0750'
    - require:
      - user: asterisk-user
      - asterisk_build: asterisk-build

{%- for sound in sounds %}
{{- download('asterisk-sounds-' ~ loop.index ~ '-archive', sound.archive, sound,
      'asterisk-sounds-' ~ loop.index) }}

asterisk-sounds-{{ loop.index }}:
  asterisk_build.sounds_present:
    - name: {{ sound.folder }}
    - archive: {{ sound.archive }}
    - require:
      - file: asterisk-folders
{%- endfor %}

asterisk-unit:
  file.managed:
    - name: /etc/systemd/system/{{ asterisk.service }}.service
    - source: salt://asterisk-formula/files/asterisk.service
    - template: jinja
    - context:
        program: {{ builds }}/current/sbin/asterisk
        user: {{ asterisk.user }}
        group: {{ asterisk.group }}
    - user: root
    - group: root
    - mode: '0644'
    - require:
      - file: asterisk-folders
  module.run:
    - name: service.systemctl_reload
    - onchanges:
      - file: asterisk-unit
