"""Runs on the hub: ask salt-api for the lowstate on standard input, with Odoo's account.

Prints a JSON list: the HTTP status, and the body as JSON, or as text where it is none.
"""

import json
import ssl
import sys
import urllib.error
import urllib.request

TRUST = ssl.create_default_context(cafile="/etc/salt/asterisk-hub/salt-api.crt")


def post(path, body, headers):
    headers = {"Content-Type": "application/json", "Accept": "application/json", **headers}
    request = urllib.request.Request("https://hub:8000" + path, json.dumps(body).encode(), headers)
    return urllib.request.urlopen(request, context=TRUST, timeout=120)


with open("/etc/salt/asterisk/salt-api-password") as file:
    account = {"username": "odoo", "password": file.read().strip(), "eauth": "file"}
token = json.load(post("/login", account, {}))["return"][0]["token"]
try:
    answer = post("/", [json.load(sys.stdin)], {"X-Auth-Token": token})
except urllib.error.HTTPError as error:
    answer = error
text = answer.read().decode()
try:
    body = json.loads(text)
except ValueError:
    body = text
print(json.dumps([answer.status, body]))
