# The Salt master's side: salt-api with TLS for Odoo, an account that may do no more than the
# addon needs, Odoo's event map in the pillar, and minion starts as events for Odoo.
# Applied on the master's host: salt-call --local state.apply asterisk-formula.hub
{%- from 'asterisk-formula/map.jinja' import asterisk with context %}
{%- set hub = asterisk.hub %}
{%- set etc = salt['file.dirname'](opts.conf_file) %}
{%- set home = salt['file.join'](etc, 'asterisk-hub') %}
{%- set pki = salt['file.join'](etc, 'pki', 'master') %}
{#- Salt's packages run the master as a user of its own, who owns its keys. #}
{%- set user = salt['file.get_user'](pki) if salt['file.directory_exists'](pki) else 'root' %}
{%- set cert = hub.tls.cert or salt['file.join'](home, 'salt-api.crt') %}
{%- set key = hub.tls.key or salt['file.join'](home, 'salt-api.key') %}
{%- set names = hub.tls.names or [grains.fqdn, grains.host, grains.id, 'localhost'] %}
{%- set alternatives = [] %}
{%- for name in names | unique %}
{%-   do alternatives.append(('IP:' if name | is_ip else 'DNS:') ~ name) %}
{%- endfor %}
{%- set synced = 'asterisk.settings_errors' in salt %}

include:
  - asterisk-formula.extensions

{%- if synced or not opts.test %}

asterisk-hub-folder:
  file.directory:
    - name: {{ home }}
    - user: {{ user }}
    - mode: '0700'
    - require:
      - id: asterisk-extensions

asterisk-hub-packages:
  pip.installed:
    - pkgs:
      - cherrypy
      - cryptography
    - reload_modules: true
    - require:
      - id: asterisk-extensions

{%-   if not hub.tls.key %}

asterisk-hub-key:
  x509.private_key_managed:
    - name: {{ key }}
    - algo: ec
    - keysize: 256
    - user: {{ user }}
    - mode: '0600'
    - require:
      - pip: asterisk-hub-packages
      - file: asterisk-hub-folder
{%-   endif %}
{%-   if not hub.tls.cert %}

asterisk-hub-certificate:
  x509.certificate_managed:
    - name: {{ cert }}
    - signing_private_key: {{ key }}
    - CN: {{ names | first | json }}
    - subjectAltName: {{ alternatives | json }}
    - basicConstraints: critical, CA:FALSE
    - keyUsage: critical, digitalSignature
    - extendedKeyUsage: serverAuth
    - subjectKeyIdentifier: hash
    - days_valid: {{ hub.tls.days }}
    - days_remaining: 30
    - user: {{ user }}
    - mode: '0644'
    - require:
      - pip: asterisk-hub-packages
      - file: asterisk-hub-folder
{%-     if not hub.tls.key %}
      - x509: asterisk-hub-key
{%-     endif %}
{%-   endif %}

asterisk-hub-account:
  # One line "account:sha512", rendered while it is written: the password is in no low state.
  file.managed:
    - name: {{ home }}/salt-api-accounts
    - source: salt://asterisk-formula/files/salt-api-accounts
    - template: jinja
    - user: {{ user }}
    - mode: '0600'
    - show_changes: false
    - require:
      - file: asterisk-hub-folder

{%-   for reactor in ['minion_start'] + (['job_return'] if hub.job_returns else []) %}

asterisk-hub-reactor-{{ reactor }}:
  file.managed:
    - name: {{ home }}/{{ reactor }}.sls
    # A package of SPM's keeps its reactors inside the formula's own folder.
    - source:
      - salt://reactor/{{ reactor }}.sls
      - salt://asterisk-formula/reactor/{{ reactor }}.sls
    - user: {{ user }}
    - mode: '0644'
    - require:
      - file: asterisk-hub-folder
    - require_in:
      - file: asterisk-hub-master-conf
{%-   endfor %}

asterisk-hub-master-conf:
  file.managed:
    - name: {{ etc }}/master.d/asterisk.conf
    - source: salt://asterisk-formula/files/master.conf
    - template: jinja
    - context:
        hub: {{ dict(hub, password=none) | json }}
        home: {{ home | json }}
        cert: {{ cert | json }}
        key: {{ key | json }}
    - user: root
    - mode: '0644'
    - makedirs: true
    - show_changes: true
    - require:
      - file: asterisk-hub-account

asterisk-hub-extensions:
  # The master's own copies: runners and the external pillar are not what a minion syncs.
  asterisk.master_synced:
    - require:
      - id: asterisk-extensions

asterisk-hub-master:
  service.running:
    - name: salt-master
    - enable: true
    - watch:
      - file: asterisk-hub-master-conf
      - asterisk: asterisk-hub-extensions

asterisk-hub-api:
  service.running:
    - name: salt-api
    - enable: true
    - require:
      - service: asterisk-hub-master
    - watch:
      - file: asterisk-hub-master-conf
      - pip: asterisk-hub-packages
{%-   if not hub.tls.key %}
      - x509: asterisk-hub-key
{%-   endif %}
{%-   if not hub.tls.cert %}
      - x509: asterisk-hub-certificate
{%-   endif %}
{%- endif %}
