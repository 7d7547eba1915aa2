# A job of a function of asterisk:hub:job_returns has ended on a PBX: that PBX tells Odoo, by the
# routes of its pillar asterisk:bus_events. Of a state run the states that failed are told, and of
# anything else the first 2,000 characters: the whole of it is in Salt's job cache.
{%- if data.fun in opts.get('asterisk_job_returns', []) and data.fun != 'asterisk.bus_event' %}
{%-   set failed = [] %}
{%-   if data.return is mapping %}
{%-     for state in data.return.values() if state is mapping and state.result is sameas false %}
{%-       do failed.append({'id': state.__id__, 'comment': (state.comment | string)[:500]}) %}
{%-     endfor %}
{%-   endif %}
{%-   set said = '' if data.return is mapping
          else data.return if data.return is string or data.return is not iterable
          else data.return | join('\n') %}
asterisk-job-return:
  local.asterisk.bus_event:
    - tgt: {{ [data.id] | json }}
    - tgt_type: list
    - kwarg:
        tag: {{ tag | json }}
        data: {{ {'id': data.id, 'jid': data.jid, 'fun': data.fun, 'success': data.success,
                  'retcode': data.retcode, 'failed': failed,
                  'return': (said | string)[:2000]} | json }}
{%- endif %}
