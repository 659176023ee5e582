//! A gRPC health server on tonic, the library of most servers in Rust.
//!
//! It is configured and commanded like health_backend_process.ts: one JSON argument, then JSON lines on
//! standard input, each answered by a JSON line of the same id.

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::KeyAndValueRef;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_health::server::{HealthReporter, HealthService};
use tonic_health::ServingStatus;

/// How long calls may take to end when the server closes politely.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// How many calls a report lists.
const RECENT_CALLS: usize = 1000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    address: String,
    services: HashMap<String, Value>,
    tls: Option<TlsFiles>,
    max_connection_age_ms: u64,
    max_connection_age_grace_ms: u64,
    max_concurrent_streams: Option<u32>,
    delay_ms: u64,
    without_watch: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            address: String::new(),
            services: HashMap::new(),
            tls: None,
            max_connection_age_ms: 0,
            max_connection_age_grace_ms: 1000,
            max_concurrent_streams: None,
            delay_ms: 0,
            without_watch: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TlsFiles {
    cert: String,
    key: String,
    client_ca: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Command {
    id: i64,
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    code: i32,
    #[serde(default)]
    details: String,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Clone, Serialize)]
struct Call {
    method: &'static str,
    service: String,
    /// The library tells its services no authority.
    authority: String,
    peer: String,
    metadata: HashMap<String, String>,
}

#[derive(Default)]
struct Seen {
    calls: usize,
    checks: usize,
    cancelled: usize,
    peers: HashSet<String>,
    recent: VecDeque<Call>,
    delay: Duration,
    errors: HashMap<String, (Code, String)>,
    /// Statuses that the library has no name for.
    numbers: HashMap<String, i32>,
}

/// What the library's health service does not have: errors, delays, and a record of the calls.
#[derive(Clone)]
struct Backend {
    seen: Arc<Mutex<Seen>>,
    reporter: HealthReporter,
    library: Arc<HealthService>,
    without_watch: bool,
}

impl Backend {
    fn new(config: &Config) -> Self {
        let reporter = HealthReporter::new();
        let seen = Seen { delay: Duration::from_millis(config.delay_ms), ..Seen::default() };
        Backend {
            seen: Arc::new(Mutex::new(seen)),
            library: Arc::new(HealthService::from_health_reporter(reporter.clone())),
            reporter,
            without_watch: config.without_watch,
        }
    }

    fn record(&self, method: &'static str, request: &Request<HealthCheckRequest>) {
        let mut metadata = HashMap::new();
        for field in request.metadata().iter() {
            if let KeyAndValueRef::Ascii(name, value) = field {
                metadata.insert(name.to_string(), value.to_str().unwrap_or_default().to_string());
            }
        }
        let call = Call {
            method,
            service: request.get_ref().service.clone(),
            authority: String::new(),
            peer: request.remote_addr().map(|from| from.to_string()).unwrap_or_default(),
            metadata,
        };
        let mut seen = self.seen.lock().unwrap();
        seen.calls += 1;
        seen.checks += usize::from(method == "Check");
        seen.peers.insert(call.peer.clone());
        seen.recent.push_back(call);
        if seen.recent.len() > RECENT_CALLS {
            seen.recent.pop_front();
        }
    }

    async fn set_status(&self, service: &str, status: &Value) {
        let named = match status.as_str() {
            Some("SERVING") => Some(ServingStatus::Serving),
            Some("NOT_SERVING") => Some(ServingStatus::NotServing),
            Some("UNKNOWN") => Some(ServingStatus::Unknown),
            _ => None,
        };
        {
            let mut seen = self.seen.lock().unwrap();
            seen.errors.remove(service);
            seen.numbers.remove(service);
            if named.is_none() {
                // SERVICE_UNKNOWN is 3, a number stands for itself.
                seen.numbers.insert(service.to_string(), status.as_i64().unwrap_or(3) as i32);
            }
        }
        self.reporter.set_service_status(service, named.unwrap_or(ServingStatus::Unknown)).await;
    }

    async fn run(&self, command: &Command) -> Result<Value, String> {
        match command.what.as_str() {
            "status" => self.set_status(&command.service, &command.status).await,
            "error" => {
                let error = (Code::from_i32(command.code), command.details.clone());
                self.seen.lock().unwrap().errors.insert(command.service.clone(), error);
            }
            "delay" => {
                self.seen.lock().unwrap().delay = Duration::from_millis(command.delay_ms);
            }
            "report" => {
                let seen = self.seen.lock().unwrap();
                return Ok(json!({
                    "calls": seen.calls,
                    "checks": seen.checks,
                    "cancelled": seen.cancelled,
                    // The library does not tell when a stream ends.
                    "streams": 0,
                    "connections": seen.peers.len(),
                    "recent": seen.recent,
                }));
            }
            unknown => return Err(format!("unknown command {unknown}")),
        }
        Ok(Value::Null)
    }
}

/// Counts a call that is dropped before its answer.
struct UnderWay {
    seen: Arc<Mutex<Seen>>,
    answered: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.answered {
            self.seen.lock().unwrap().cancelled += 1;
        }
    }
}

#[tonic::async_trait]
impl Health for Backend {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        self.record("Check", &request);
        let mut under_way = UnderWay { seen: self.seen.clone(), answered: false };
        let delay = self.seen.lock().unwrap().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        under_way.answered = true;
        let service = request.get_ref().service.clone();
        let (error, number) = {
            let seen = self.seen.lock().unwrap();
            (seen.errors.get(&service).cloned(), seen.numbers.get(&service).copied())
        };
        if let Some((code, details)) = error {
            return Err(Status::new(code, details));
        }
        let mut answer = self.library.check(request).await?;
        if let Some(number) = number {
            answer.get_mut().status = number;
        }
        Ok(answer)
    }

    type WatchStream = <HealthService as Health>::WatchStream;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.record("Watch", &request);
        if self.without_watch {
            return Err(Status::unimplemented("no Watch here"));
        }
        self.library.watch(request).await
    }
}

fn build(config: &Config) -> Result<Server, Box<dyn std::error::Error>> {
    let mut server = Server::builder().max_concurrent_streams(config.max_concurrent_streams);
    if config.max_connection_age_ms > 0 {
        server = server
            .max_connection_age(Duration::from_millis(config.max_connection_age_ms))
            .max_connection_age_grace(Duration::from_millis(config.max_connection_age_grace_ms));
    }
    if let Some(files) = &config.tls {
        let identity =
            Identity::from_pem(std::fs::read(&files.cert)?, std::fs::read(&files.key)?);
        let mut tls = ServerTlsConfig::new().identity(identity);
        if let Some(ca) = &files.client_ca {
            tls = tls.client_ca_root(Certificate::from_pem(std::fs::read(ca)?));
        }
        server = server.tls_config(tls)?;
    }
    Ok(server)
}

fn emit(value: &Value) {
    println!("{value}");
}

/// Takes commands until one of them, SIGTERM or the end of the test ends the server.
async fn obey(backend: Backend) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let command: Command = serde_json::from_str(&line).expect("a command");
        if command.what == "close" {
            return;
        }
        emit(&match backend.run(&command).await {
            Ok(result) => json!({ "id": command.id, "result": result }),
            Err(error) => json!({ "id": command.id, "error": error }),
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config: Config = serde_json::from_str(&std::env::args().nth(1).expect("a configuration"))?;
    let backend = Backend::new(&config);
    for (service, status) in &config.services {
        backend.set_status(service, status).await;
    }
    let listener = TcpListener::bind(config.address.parse::<SocketAddr>()?).await?;
    let closing = Arc::new(Notify::new());
    let served = build(&config)?
        .add_service(HealthServer::new(backend.clone()))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), {
            let closing = closing.clone();
            async move { closing.notified().await }
        });
    let server = tokio::spawn(served);
    emit(&json!({ "event": "listening" }));
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = obey(backend) => {}
        _ = terminate.recv() => {}
    }
    closing.notify_one();
    // Calls under way may end; those that do not are cut off.
    let _ = tokio::time::timeout(CLOSE_GRACE, server).await;
    std::process::exit(0);
}
