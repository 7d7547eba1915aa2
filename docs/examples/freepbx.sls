# Beside FreePBX, or any Asterisk that somebody else installed and configures: an AMI account for
# the bridge in the file that FreePBX leaves to its users, and nothing else in /etc/asterisk.
asterisk:
  install:
    method: none
    # manager_file: manager_custom.conf
  odoo:
    url: https://odoo.example.com
    database: prod
    login: pbx1
    api_key: put the key here
