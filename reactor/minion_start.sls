# A minion has started: that PBX tells Odoo, by the routes of its pillar asterisk:bus_events.
asterisk-minion-start:
  local.asterisk.bus_event:
    - tgt: {{ [data.id] | json }}
    - tgt_type: list
    - kwarg:
        tag: {{ tag | json }}
        data: {{ data | json }}
