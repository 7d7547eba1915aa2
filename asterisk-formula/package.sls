# Asterisk from packages: the distribution's, or those of another repository.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}
{%- set install = asterisk.install %}

{%- if install.repository %}

asterisk-repository:
  pkgrepo.managed: {{ [install.repository] | json }}
{%- elif grains.os_family == 'RedHat' and grains.os != 'Fedora' %}

asterisk-repository:
  # Enterprise Linux has Asterisk in EPEL only.
  pkg.installed:
    - name: epel-release
{%- elif grains.os == 'Debian' and grains.get('osmajorrelease') in (12, 13)
      and 'asterisk' in install.packages
      and not salt['pkg.version']('asterisk')
      and not salt['pkg.latest_version']('asterisk', refresh=false) %}

asterisk-repository:
  # Under test=True only the name is shown.
  test.fail_without_changes:
    - comment: &missing >-
        Debian {{ grains.osmajorrelease }} has no package asterisk. Either set
        asterisk:install:method to source, with the tarball's url and checksum in
        asterisk:install:source, or name a repository that has it in asterisk:install:repository.
    - name: *missing
    - failhard: true
{%- endif %}

asterisk-package:
  pkg.installed:
    - pkgs: {{ install.packages | json }}
    - install_recommends: false
{%- if install.repository or grains.os_family == 'RedHat' and grains.os != 'Fedora' %}
    - require:
      - id: asterisk-repository
{%- endif %}
