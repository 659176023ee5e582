// The alert rules, as a function of the mixin's configuration. What to do at each: docs/operations.md.
function(config)
  local alert(name, expr, severity, summary, description, duration=null) = {
    alert: name,
    expr: expr,
    [if duration != null then 'for']: duration,
    labels: { severity: severity },
    annotations: {
      summary: summary,
      description: description,
      // GitHub's id of the heading of that name.
      runbook_url: config.documents + '/operations.md#' + std.asciiLower(name),
    },
  };

  [
    alert(
      name='HaproxyGrpcAgentGone',
      expr='up{%(selector)s} == 0' % config,
      duration='2m',
      severity='critical',
      summary='The agent {{ $labels.instance }} does not answer',
      description='With agent-check HAProxy keeps every server as it last was: one that dies now stays UP and gets requests. With tcp-check it takes them all out.',
    ),

    alert(
      name='HaproxyGrpcAgentAllBackendsDown',
      expr='haproxy_grpc_agent_backends{state="down"} > 1 and ignoring (state) sum without (state) (haproxy_grpc_agent_backends) == ignoring (state) haproxy_grpc_agent_backends{state="down"}',
      duration='2m',
      severity='critical',
      summary='All {{ $value }} backends of the agent {{ $labels.instance }} are down',
      description='That many do not die at once: look at what they share, which may be the way from the agent to them, a name server, a certificate, or the configuration.',
    ),

    alert(
      name='HaproxyGrpcAgentBackendDown',
      expr='haproxy_grpc_agent_backends{state="down"} > 0',
      duration='10m',
      severity='warning',
      summary='{{ $value }} backends of the agent {{ $labels.instance }} have been down for 10 minutes',
      description="The agent's status page (its metrics port, /) shows which, and why.",
    ),

    alert(
      name='HaproxyGrpcAgentCannotAsk',
      expr='rate(check_errors_total{error_type="local"}[5m]) > 0',
      duration='2m',
      severity='critical',
      summary='The agent {{ $labels.instance }} lacks what it needs to check',
      description='A descriptor, a local port, or time. Such checks repeat the last answer for a minute, and then get none.',
    ),

    alert(
      name='HaproxyGrpcAgentBackendsUnasked',
      expr='haproxy_grpc_agent_backends_unasked > 0',
      severity='critical',
      summary='The agent {{ $labels.instance }} has not been able to ask {{ $value }} backends for a minute',
      description='Its last answers are repeated no longer. HAProxy keeps those servers as they are, or with tcp-check takes them out.',
    ),

    alert(
      name='HaproxyGrpcAgentChecksAbandoned',
      expr='increase(haproxy_grpc_agent_checks_abandoned_total[10m]) > 5',
      duration='2m',
      severity='warning',
      summary='HAProxy hangs up on {{ $labels.instance }} before its answers',
      description='{{ $value | humanize }} checks in 10 minutes had no answer in time: HAProxy keeps those servers as they last were, or with tcp-check takes them out. Lower check_timeout_ms, or raise agent-inter or timeout check.',
    ),

    alert(
      name='HaproxyGrpcAgentSlowChecks',
      expr='1 - sum without (le) (rate(check_duration_seconds_bucket{le="1"}[10m])) / rate(check_duration_seconds_count[10m]) > 0.05 unless on (instance, job) haproxy_grpc_agent_backends{state="down"} > 0',
      duration='10m',
      severity='warning',
      summary='{{ $value | humanizePercentage }} of the checks of {{ $labels.instance }} take longer than a second',
      description="No backend is down yet. An answer that comes after HAProxy's agent-inter (2 s unless set) is dropped, and the server stays as it was.",
    ),

    alert(
      name='HaproxyGrpcAgentWrongRequests',
      expr='sum without (error_type) (rate(check_errors_total{error_type=~"parse_error|denied"}[10m])) > 0',
      duration='10m',
      severity='warning',
      summary='The agent {{ $labels.instance }} is asked what it cannot or may not check',
      description="Each such line is answered down, so its server is out of HAProxy's rotation, or never ends and gets no answer: agent-send is wrong, or allow_backends lacks the target.",
    ),

    alert(
      name='HaproxyGrpcAgentRejectsClients',
      expr='rate(haproxy_grpc_agent_connections_rejected_total[10m]) > 0',
      duration='10m',
      severity='warning',
      summary='The agent {{ $labels.instance }} turns clients away: {{ $labels.reason }}',
      description='To an HAProxy that is turned away every server stays as it last was, or with tcp-check goes DOWN.',
    ),

    alert(
      name='HaproxyGrpcAgentNotAsked',
      expr='sum without (result) (rate(check_requests_total[10m])) == 0',
      duration='10m',
      severity='warning',
      summary='Nobody has asked the agent {{ $labels.instance }} for 10 minutes',
      description='HAProxy does not run, does not reach the agent, or has its agent checks switched off.',
    ),

    alert(
      name='HaproxyGrpcAgentReloadFailed',
      expr='haproxy_grpc_agent_config_last_reload_successful == 0',
      duration='5m',
      severity='warning',
      summary='The agent {{ $labels.instance }} could not take its new configuration',
      description='It goes on with the one before; a restart would fail.',
    ),

    alert(
      name='HaproxyGrpcAgentCertificateEnds',
      expr='haproxy_grpc_agent_certificate_expiry_timestamp_seconds - time() < 7 * 86400',
      duration='1h',
      severity='warning',
      summary='A client certificate of the agent {{ $labels.instance }} ends within 7 days, profile {{ $labels.profile }}',
      description='Backends that demand one refuse the agent from then on, and are taken out.',
    ),

    alert(
      name='HaproxyGrpcAgentBug',
      expr='increase(check_errors_total{error_type="internal"}[15m]) > 0',
      severity='warning',
      summary='The agent {{ $labels.instance }} has met a bug of its own',
      description='Such a check repeats the last answer for a minute, and then gets none. The log has the stack at level error.',
    ),
  ]
