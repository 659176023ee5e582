// The Grafana dashboard, as a function of the mixin's configuration.
function(config)
  local datasource = { type: 'prometheus', uid: '${datasource}' };

  // How panels with lines show names and values.
  local series = {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
    tooltip: { mode: 'multi', sort: 'none' },
  };

  // How panels with one figure show it.
  local figure(graphMode) = {
    reduceOptions: { calcs: ['lastNotNull'] },
    colorMode: 'background',
    graphMode: graphMode,
    justifyMode: 'auto',
    orientation: 'auto',
    percentChangeColorMode: 'standard',
    showPercentChange: false,
    textMode: 'auto',
    wideLayout: true,
  };

  // A panel at a place of Grafana's grid of 24 columns; targets are asked in the order of their letters.
  local panel(title, type, gridPos, description, targets) = {
    title: title,
    type: type,
    gridPos: gridPos,
    [if description != null then 'description']: description,
    datasource: datasource,
    targets: [
      targets[index] { refId: std.char(65 + index), datasource: datasource }
      for index in std.range(0, std.length(targets) - 1)
    ],
  };

  local panels = [
    panel('Down', 'stat', { x: 0, y: 4, w: 5, h: 4 }, "Backends that HAProxy is told are down. The agent's status page shows which, and why.", [
      {
        expr: 'sum(haproxy_grpc_agent_backends{instance=~"$instance",state="down"})',
        legendFormat: 'down',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          thresholds: {
            mode: 'absolute',
            steps: [{ value: null, color: 'green' }, { value: 1, color: 'red' }],
          },
        },
        overrides: [],
      },
      options: figure('area'),
    },

    panel('Draining or in maintenance', 'stat', { x: 5, y: 4, w: 5, h: 4 }, 'Backends that say NOT_SERVING of themselves, where not_serving_reply is drain or maint.', [
      {
        expr: 'sum(haproxy_grpc_agent_backends{instance=~"$instance",state=~"drain|maint"})',
        legendFormat: 'draining',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          thresholds: {
            mode: 'absolute',
            steps: [{ value: null, color: 'green' }, { value: 1, color: 'orange' }],
          },
        },
        overrides: [],
      },
      options: figure('area'),
    },

    panel('Up', 'stat', { x: 10, y: 4, w: 5, h: 4 }, 'Backends that HAProxy is told are up.', [
      {
        expr: 'sum(haproxy_grpc_agent_backends{instance=~"$instance",state="up"})',
        legendFormat: 'up',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          thresholds: { mode: 'absolute', steps: [{ value: null, color: 'green' }] },
        },
        overrides: [],
      },
      options: figure('area'),
    },

    panel('Checks', 'stat', { x: 15, y: 4, w: 5, h: 4 }, 'Lines answered a second.', [
      {
        expr: 'sum(rate(check_requests_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: 'checks',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'reqps',
          min: 0,
          thresholds: { mode: 'absolute', steps: [{ value: null, color: 'blue' }] },
        },
        overrides: [],
      },
      options: figure('area'),
    },

    panel('Last reload', 'stat', { x: 20, y: 4, w: 4, h: 4 }, 'Whether the configuration in force is the one last asked for.', [
      {
        expr: 'min(haproxy_grpc_agent_config_last_reload_successful{instance=~"$instance"})',
        legendFormat: 'reload',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          thresholds: {
            mode: 'absolute',
            steps: [{ value: null, color: 'red' }, { value: 1, color: 'green' }],
          },
          mappings: [{ type: 'value', options: { '0': { text: 'failed' }, '1': { text: 'good' } } }],
        },
        overrides: [],
      },
      options: figure('area'),
    },

    panel('Backends by state', 'timeseries', { x: 0, y: 8, w: 12, h: 8 }, 'What HAProxy is told of the backends asked about in the last ten minutes.', [
      {
        expr: 'sum by (state) (haproxy_grpc_agent_backends{instance=~"$instance"})',
        legendFormat: '{{state}}',
      },
    ]) + {
      fieldConfig: {
        defaults: { unit: 'short', min: 0, custom: { fillOpacity: 25, stacking: { mode: 'normal' } } },
        overrides: [
          {
            matcher: { id: 'byName', options: 'up' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'green' } }],
          },
          {
            matcher: { id: 'byName', options: 'down' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'red' } }],
          },
          {
            matcher: { id: 'byName', options: 'drain' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'orange' } }],
          },
          {
            matcher: { id: 'byName', options: 'maint' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'yellow' } }],
          },
        ],
      },
      options: series,
    },

    panel('Answers without a verdict', 'timeseries', { x: 12, y: 8, w: 12, h: 8 }, 'By error_type; docs/operations.md says what each means and what to do.', [
      {
        expr: 'sum by (error_type) (rate(check_errors_total{instance=~"$instance"}[$__rate_interval])) > 0',
        legendFormat: '{{error_type}}',
      },
    ]) + {
      fieldConfig: {
        defaults: { unit: 'reqps', min: 0, custom: { fillOpacity: 25, stacking: { mode: 'normal' } } },
        overrides: [],
      },
      options: series,
    },

    panel('Answers', 'timeseries', { x: 0, y: 16, w: 8, h: 8 }, 'error: no verdict from the backend.', [
      {
        expr: 'sum by (result) (rate(check_requests_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: '{{result}}',
      },
    ]) + {
      fieldConfig: {
        defaults: { unit: 'reqps', min: 0, custom: { fillOpacity: 25, stacking: { mode: 'normal' } } },
        overrides: [
          {
            matcher: { id: 'byName', options: 'up' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'green' } }],
          },
          {
            matcher: { id: 'byName', options: 'down' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'red' } }],
          },
          {
            matcher: { id: 'byName', options: 'error' },
            properties: [{ id: 'color', value: { mode: 'fixed', fixedColor: 'orange' } }],
          },
        ],
      },
      options: series,
    },

    panel('Duration of checks', 'timeseries', { x: 8, y: 16, w: 8, h: 8 }, 'HAProxy drops answers later than agent-inter (2 s unless set). Above 2 s the buckets end.', [
      {
        expr: 'histogram_quantile(0.5, sum by (le) (rate(check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))',
        legendFormat: 'half',
      },
      {
        expr: 'histogram_quantile(0.99, sum by (le) (rate(check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval])))',
        legendFormat: '99 %',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 's', min: 0 }, overrides: [] },
      options: series,
    },

    panel('Durations', 'heatmap', { x: 16, y: 16, w: 8, h: 8 }, null, [
      {
        expr: 'sum by (le) (increase(check_duration_seconds_bucket{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: '{{le}}',
        format: 'heatmap',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 's', min: 0 }, overrides: [] },
      options: {
        calculate: false,
        color: { mode: 'scheme', scheme: 'Oranges', steps: 64, exponent: 0.5, reverse: false, fill: 'dark-orange' },
        exemplars: { color: 'rgba(255,0,255,0.7)' },
        legend: { show: true },
        showValue: 'auto',
        tooltip: { mode: 'single', showColorScale: false, yHistogram: false },
        yAxis: { unit: 's' },
      },
    },

    panel('Connections and channels', 'timeseries', { x: 0, y: 24, w: 8, h: 8 }, 'Clients connected, channels to backends, checks under way.', [
      { expr: 'sum(haproxy_connections_active{instance=~"$instance"})', legendFormat: 'clients' },
      { expr: 'sum(grpc_channels_active{instance=~"$instance"})', legendFormat: 'channels' },
      {
        expr: 'sum(haproxy_grpc_agent_checks_in_flight{instance=~"$instance"})',
        legendFormat: 'checks in flight',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 'short', min: 0 }, overrides: [] },
      options: series,
    },

    panel('Shared checks and clients turned away', 'timeseries', { x: 8, y: 24, w: 8, h: 8 }, 'Checks that shared an RPC; connections closed at once, by reason.', [
      {
        expr: 'sum(rate(haproxy_grpc_agent_checks_coalesced_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: 'shared',
      },
      {
        expr: 'sum by (reason) (rate(haproxy_grpc_agent_connections_rejected_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: '{{reason}}',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 'reqps', min: 0 }, overrides: [] },
      options: series,
    },

    panel('Processor time', 'timeseries', { x: 16, y: 24, w: 4, h: 8 }, 'Of one processor.', [
      {
        expr: 'rate(process_cpu_seconds_total{instance=~"$instance"}[$__rate_interval])',
        legendFormat: '{{instance}}',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 'percentunit', min: 0 }, overrides: [] },
      options: series,
    },

    panel('Memory', 'timeseries', { x: 20, y: 24, w: 4, h: 8 }, 'Resident.', [
      {
        expr: 'process_resident_memory_bytes{instance=~"$instance"}',
        legendFormat: '{{instance}}',
      },
    ]) + {
      fieldConfig: { defaults: { unit: 'bytes', min: 0 }, overrides: [] },
      options: series,
    },

    panel('Each backend', 'state-timeline', { x: 0, y: 32, w: 24, h: 10 }, 'Only with metrics_backend_up = true.', [
      {
        expr: 'min by (backend, service) (haproxy_grpc_agent_backend_up{instance=~"$instance"})',
        legendFormat: '{{backend}} {{service}}',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          thresholds: {
            mode: 'absolute',
            steps: [{ value: null, color: 'red' }, { value: 1, color: 'green' }],
          },
          mappings: [{ type: 'value', options: { '0': { text: 'down' }, '1': { text: 'up' } } }],
        },
        overrides: [],
      },
      options: series { mergeValues: true, showValue: 'never', rowHeight: 0.8 },
    },

    panel('Abandoned checks', 'timeseries', { x: 0, y: 50, w: 8, h: 8 }, 'Whose client hung up before the answer: HAProxy keeps the server as it was.', [
      {
        expr: 'sum by (instance) (rate(haproxy_grpc_agent_checks_abandoned_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: '{{instance}}',
      },
    ]) + { fieldConfig: { defaults: { unit: 'cps', min: 0 }, overrides: [] }, options: series },

    panel('Client certificates end', 'stat', { x: 8, y: 50, w: 16, h: 8 }, 'In how long the client certificate of each TLS profile ends, or one sent along with it.', [
      {
        expr: 'min by (profile) (haproxy_grpc_agent_certificate_expiry_timestamp_seconds{instance=~"$instance"}) - time()',
        legendFormat: '{{profile}}',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'dtdurations',
          noValue: 'none',
          thresholds: {
            mode: 'absolute',
            steps: [
              { value: null, color: 'red' },
              { value: 7 * 86400, color: 'orange' },
              { value: 30 * 86400, color: 'green' },
            ],
          },
        },
        overrides: [],
      },
      options: figure('none'),
    },

    panel('Connections to backends', 'timeseries', { x: 0, y: 42, w: 8, h: 8 }, 'Opened a second, and closed by what ended them. Many by peer: the backends restart, or close what they find idle.', [
      {
        expr: 'sum(rate(haproxy_grpc_agent_backend_connections_opened_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: 'opened',
      },
      {
        expr: 'sum by (reason) (rate(haproxy_grpc_agent_backend_connections_closed_total{instance=~"$instance"}[$__rate_interval])) > 0',
        legendFormat: 'closed: {{reason}}',
      },
    ]) + { fieldConfig: { defaults: { unit: 'cps', min: 0 }, overrides: [] }, options: series },

    panel('Second tries', 'timeseries', { x: 8, y: 42, w: 8, h: 8 }, 'Calls that were asked once more on another connection because the first was slow to answer.', [
      {
        expr: 'sum(rate(haproxy_grpc_agent_hedged_calls_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: 'hedged calls',
      },
    ]) + { fieldConfig: { defaults: { unit: 'cps', min: 0 }, overrides: [] }, options: series },

    panel('What the agent lacks', 'timeseries', { x: 16, y: 42, w: 8, h: 8 }, "Checks that it could not make for want of a descriptor, a port or time, and log lines that nothing took. Anything above 0 is its machine's fault.", [
      {
        expr: 'sum(rate(check_errors_total{instance=~"$instance",error_type="local"}[$__rate_interval]))',
        legendFormat: 'checks not made',
      },
      {
        expr: 'sum(rate(haproxy_grpc_agent_log_dropped_total{instance=~"$instance"}[$__rate_interval]))',
        legendFormat: 'log lines lost',
      },
    ]) + { fieldConfig: { defaults: { unit: 'cps', min: 0 }, overrides: [] }, options: series },

    panel('Servers that HAProxy gets no answer for', 'stat', { x: 0, y: 0, w: 12, h: 4 }, "By HAProxy's own exporter, 3.2 and later: servers whose agent-check the agent does not answer. They stay as they last were.", [
      {
        expr: 'sum by (instance, proxy) (haproxy_server_agent_status{state=~"L4CON|L4TOUT|L7TOUT|L7RSP|SOCKERR"}) > 0',
        legendFormat: '{{instance}} {{proxy}}',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          noValue: 'none',
          thresholds: { mode: 'absolute', steps: [{ value: null, color: 'green' }, { value: 1, color: 'red' }] },
        },
        overrides: [],
      },
      options: figure('none'),
    },

    panel('Agents that HAProxy finds ready', 'stat', { x: 12, y: 0, w: 12, h: 4 }, "By HAProxy's own exporter: the backend agents of deploy/haproxy/dynamic/a-records.cfg; 0 is an agent that is away.", [
      {
        expr: 'min by (instance, server) (haproxy_server_status{proxy="agents",state="UP"})',
        legendFormat: '{{instance}} {{server}}',
      },
    ]) + {
      fieldConfig: {
        defaults: {
          unit: 'short',
          min: 0,
          noValue: 'none',
          thresholds: { mode: 'absolute', steps: [{ value: null, color: 'red' }, { value: 1, color: 'green' }] },
        },
        overrides: [],
      },
      options: figure('none'),
    },

    panel('Versions', 'table', { x: 0, y: 58, w: 24, h: 5 }, null, [
      {
        expr: 'haproxy_grpc_agent_build_info{instance=~"$instance"}',
        legendFormat: '',
        format: 'table',
        instant: true,
      },
    ]) + {
      fieldConfig: { defaults: { unit: 'short', min: 0 }, overrides: [] },
      options: { frameIndex: 0, showHeader: true },
    },
  ];

  {
    title: config.dashboardTitle,
    uid: 'haproxy-grpc-agent',
    description: "gRPC health checks for HAProxy's agent-check",
    tags: config.dashboardTags,
    editable: true,
    graphTooltip: 1,
    schemaVersion: 39,
    version: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: '',
    templating: {
      list: [
        { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Data source' },
        {
          name: 'instance',
          type: 'query',
          label: 'Agent',
          datasource: { type: 'prometheus', uid: '${datasource}' },
          query: { query: 'label_values(haproxy_grpc_agent_build_info, instance)', refId: 'instance' },
          refresh: 2,
          multi: true,
          includeAll: true,
          allValue: '.+',
          current: { text: 'All', value: '$__all' },
        },
      ],
    },
    annotations: { list: [] },
    panels: [
      panels[index] { id: index + 1 }
      for index in std.range(0, std.length(panels) - 1)
    ],
  }
