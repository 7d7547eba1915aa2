# Packages of the Python that Salt runs on: for the bridge, and for the check of new files.
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}

include:
  - asterisk-formula.extensions

asterisk-bridge-packages:
  # Without bin_env pip is the one of the Python that Salt itself runs on, onedir or not.
  pip.installed:
    - pkgs:
      - pyst2 >= 0.5.1
{%- if asterisk.validate.lint %}
      - asterisklint >= 0.4.3, < 0.5
{%- endif %}
    - reload_modules: true
    - require:
      - id: asterisk-extensions
