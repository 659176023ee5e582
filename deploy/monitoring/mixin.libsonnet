// Alerts and dashboard as a mixin (https://monitoring.mixins.dev). Set what is different at your place:
//
//   (import 'haproxy-grpc-agent/deploy/monitoring/mixin.libsonnet') + {
//     _config+:: { selector: 'job="agents"' },
//   }
local documents = 'https://github.com/OWNER/REPOSITORY/blob/main/docs';

{
  _config+:: {
    // Which targets of Prometheus' are agents.
    selector: 'job="haproxy-grpc-agent"',
    // Where your people find the folder docs.
    documents: documents,
    dashboardTitle: 'haproxy-grpc-agent',
    dashboardTags: ['haproxy', 'grpc'],
  },

  prometheusAlerts+:: {
    groups+: [
      { name: 'haproxy-grpc-agent', rules: (import 'alerts.libsonnet')($._config) },
    ] + std.parseYaml(std.strReplace(importstr 'haproxy_alerts.yml', documents, $._config.documents)).groups,
  },

  grafanaDashboards+:: {
    'haproxy-grpc-agent.json': (import 'dashboard.libsonnet')($._config),
  },
}
