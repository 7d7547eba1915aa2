# Asterisk from packages.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}

{%- if asterisk.install.repository %}
asterisk-repository:
  pkgrepo.managed: {{ [asterisk.install.repository] | json }}
{%- endif %}

asterisk-package:
  pkg.installed:
    - pkgs: {{ asterisk.install.packages | json }}
    - install_recommends: false
{%- if asterisk.install.repository %}
    - require:
      - pkgrepo: asterisk-repository
{%- endif %}
