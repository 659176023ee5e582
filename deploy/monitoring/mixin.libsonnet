// Alerts and dashboard as a mixin (https://monitoring.mixins.dev). Set what is different at your place:
//
//   (import 'haproxy-grpc-agent/deploy/monitoring/mixin.libsonnet') + {
//     _config+:: { selector: 'job="agents"' },
//   }
{
  _config+:: {
    // Which targets of Prometheus' are agents.
    selector: 'job="haproxy-grpc-agent"',
    // Where your people find docs/operations.md.
    runbook: 'https://github.com/OWNER/REPOSITORY/blob/main/docs/operations.md',
    dashboardTitle: 'haproxy-grpc-agent',
    dashboardTags: ['haproxy', 'grpc'],
  },

  prometheusAlerts+:: {
    groups+: [{ name: 'haproxy-grpc-agent', rules: (import 'alerts.libsonnet')($._config) }],
  },

  grafanaDashboards+:: {
    'haproxy-grpc-agent.json': (import 'dashboard.libsonnet')($._config),
  },
}
