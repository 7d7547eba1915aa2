# Asterisk from source: a tarball with an enforced checksum, built once for each set of options.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}
{%- set source = asterisk.install.source %}
{%- set options = source.get('configure', []) + ['--prefix=/usr', '--sysconfdir=/etc',
      '--localstatedir=/var', '--libdir=/usr/lib'] %}
{%- set build = salt['hashutil.sha256_digest'](source | json(sort_keys=True))[:16] %}
{%- set home = '/usr/src/asterisk-formula' %}
{%- set tree = home ~ '/' ~ build %}

{%- if not source.get('url') or not source.get('checksum') %}

asterisk-source:
  test.fail_without_changes:
    - name: >-
        asterisk:install:source needs url and checksum: write the address or path of Asterisk's
        tarball, and its checksum as sha256=...
    - failhard: true
{%- else %}

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

{%-   for external in source.get('externals', []) %}

asterisk-external-{{ loop.index }}:
  file.managed:
    - name: {{ home }}/externals/{{ salt['file.basename'](external.url) }}
    - source: {{ external.url | json }}
    - source_hash: {{ external.checksum | json }}
    - makedirs: true
    - require_in:
      - cmd: asterisk-build
{%-   endfor %}

asterisk-tarball:
  # Unpacked from a copy: archive.extracted does not hold a local file against its checksum.
  file.managed:
    - name: {{ home }}/{{ salt['file.basename'](source.url) }}
    - source: {{ source.url | json }}
    - source_hash: {{ source.checksum | json }}
    - makedirs: true

asterisk-tree:
  archive.extracted:
    - name: {{ tree }}
    - source: {{ home }}/{{ salt['file.basename'](source.url) }}
    - options: --strip-components=1
    - enforce_toplevel: false
    - unless:
      - test -e {{ tree }}/.installed
    - require:
      - file: asterisk-tarball

asterisk-build:
  cmd.run:
    # Its thousands of lines go to a file; the end of it is told when the build fails.
    - name: >-
        (./configure {{ options | join(' ') }} --with-externals-cache={{ home }}/externals
        && make menuselect.makeopts
{%-   if source.get('menuselect') %}
        && menuselect/menuselect {{ source.menuselect | join(' ') }} menuselect.makeopts
{%-   endif %}
        && make -j{{ grains.num_cpus }}
        && make install
        && touch .installed) > build.log 2>&1
        || { tail -n 30 build.log; echo "All of it: {{ tree }}/build.log"; exit 1; }
    - cwd: {{ tree }}
    - creates: {{ tree }}/.installed
    - require:
      - pkg: asterisk-build-packages
      - archive: asterisk-tree

asterisk-folders:
  file.directory:
    - names:
      - {{ asterisk.etc }}
      - /var/lib/asterisk
      - /var/log/asterisk
      - /var/log/asterisk/cdr-custom
      - /var/spool/asterisk
      - /var/cache/asterisk
    - user: {{ asterisk.user }}
    - group: {{ asterisk.group }}
    - mode: '0750'
    - require:
      - user: asterisk-user
      - cmd: asterisk-build

asterisk-unit:
  file.managed:
    - name: /etc/systemd/system/{{ asterisk.service }}.service
    - source: salt://asterisk-formula/files/asterisk.service
    - template: jinja
    - context:
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
{%- endif %}
