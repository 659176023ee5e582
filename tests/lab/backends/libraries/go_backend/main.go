// A gRPC health server on grpc-go, the library behind most servers of the cloud.
//
// It is configured and commanded like health_backend_process.ts: one JSON argument, then JSON lines on
// standard input, each answered by a JSON line of the same id.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// How long calls may take to end when the server closes politely.
const closeGrace = 2 * time.Second

// How many calls a report lists.
const recentCalls = 1000

type config struct {
	Address                 string                     `json:"address"`
	Services                map[string]json.RawMessage `json:"services"`
	TLS                     *tlsFiles                  `json:"tls"`
	TLS12                   bool                       `json:"tls12"`
	MaxConnectionAgeMs      int                        `json:"maxConnectionAgeMs"`
	MaxConnectionAgeGraceMs int                        `json:"maxConnectionAgeGraceMs"`
	MaxConcurrentStreams    uint32                     `json:"maxConcurrentStreams"`
	DelayMs                 int                        `json:"delayMs"`
	WithoutWatch            bool                       `json:"withoutWatch"`
}

type tlsFiles struct {
	Cert     string `json:"cert"`
	Key      string `json:"key"`
	ClientCA string `json:"clientCa"`
}

type command struct {
	ID      int             `json:"id"`
	Do      string          `json:"do"`
	Service string          `json:"service"`
	Status  json.RawMessage `json:"status"`
	Code    codes.Code      `json:"code"`
	Details string          `json:"details"`
	DelayMs int             `json:"delayMs"`
}

type call struct {
	Method    string            `json:"method"`
	Service   string            `json:"service"`
	Authority string            `json:"authority"`
	Peer      string            `json:"peer"`
	Metadata  map[string]string `json:"metadata"`
}

type report struct {
	Calls       int    `json:"calls"`
	Checks      int    `json:"checks"`
	Cancelled   int    `json:"cancelled"`
	Streams     int    `json:"streams"`
	Connections int    `json:"connections"`
	Recent      []call `json:"recent"`
}

// backend is what the library's health server does not have: errors, delays, and a record of the calls.
type backend struct {
	*health.Server
	mutex        sync.Mutex
	errors       map[string]error
	delay        time.Duration
	withoutWatch bool
	seen         report
	peers        map[string]bool
}

func (b *backend) Check(ctx context.Context, request *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	b.mutex.Lock()
	b.record("Check", request.Service, ctx)
	b.seen.Checks++
	delay, err := b.delay, b.errors[request.Service]
	b.mutex.Unlock()
	b.holdBack(ctx, delay)
	if err != nil {
		return nil, err
	}
	return b.Server.Check(ctx, request)
}

// holdBack takes its time, and notes when nobody waits for the answer any more.
func (b *backend) holdBack(ctx context.Context, delay time.Duration) {
	over := time.After(delay)
	select {
	case <-over:
	case <-ctx.Done():
		b.mutex.Lock()
		b.seen.Cancelled++
		b.mutex.Unlock()
		<-over
	}
}

func (b *backend) Watch(request *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	b.mutex.Lock()
	b.record("Watch", request.Service, stream.Context())
	if b.withoutWatch {
		b.mutex.Unlock()
		return status.Error(codes.Unimplemented, "no Watch here")
	}
	b.seen.Streams++
	b.mutex.Unlock()
	defer func() {
		b.mutex.Lock()
		b.seen.Streams--
		b.mutex.Unlock()
	}()
	return b.Server.Watch(request, stream)
}

// record must be called with the mutex held.
func (b *backend) record(method, service string, ctx context.Context) {
	seen := call{Method: method, Service: service, Metadata: map[string]string{}}
	if from, ok := peer.FromContext(ctx); ok {
		seen.Peer = from.Addr.String()
	}
	if fields, ok := metadata.FromIncomingContext(ctx); ok {
		for name, values := range fields {
			if name == ":authority" {
				seen.Authority = values[0]
			} else {
				seen.Metadata[name] = values[0]
			}
		}
	}
	b.seen.Calls++
	b.peers[seen.Peer] = true
	b.seen.Recent = append(b.seen.Recent, seen)
	if len(b.seen.Recent) > recentCalls {
		b.seen.Recent = b.seen.Recent[1:]
	}
}

func (b *backend) run(todo command) (interface{}, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	switch todo.Do {
	case "status":
		delete(b.errors, todo.Service)
		b.SetServingStatus(todo.Service, statusOf(todo.Status))
	case "error":
		b.errors[todo.Service] = status.Error(todo.Code, todo.Details)
		// What a Watch stream tells then.
		b.SetServingStatus(todo.Service, healthpb.HealthCheckResponse_SERVICE_UNKNOWN)
	case "delay":
		b.delay = time.Duration(todo.DelayMs) * time.Millisecond
	case "report":
		b.seen.Connections = len(b.peers)
		return b.seen, nil
	default:
		return nil, fmt.Errorf("unknown command %s", todo.Do)
	}
	return nil, nil
}

// statusOf reads a status by its name, or a number for one that does not exist.
func statusOf(text json.RawMessage) healthpb.HealthCheckResponse_ServingStatus {
	var name string
	if json.Unmarshal(text, &name) == nil {
		return healthpb.HealthCheckResponse_ServingStatus(healthpb.HealthCheckResponse_ServingStatus_value[name])
	}
	var number int32
	must(json.Unmarshal(text, &number))
	return healthpb.HealthCheckResponse_ServingStatus(number)
}

func serverOptions(settings config) []grpc.ServerOption {
	var options []grpc.ServerOption
	if settings.MaxConnectionAgeMs > 0 {
		grace := time.Second
		if settings.MaxConnectionAgeGraceMs > 0 {
			grace = time.Duration(settings.MaxConnectionAgeGraceMs) * time.Millisecond
		}
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      time.Duration(settings.MaxConnectionAgeMs) * time.Millisecond,
			MaxConnectionAgeGrace: grace,
		}))
	}
	if settings.MaxConcurrentStreams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(settings.MaxConcurrentStreams))
	}
	if settings.TLS != nil {
		secured := tlsConfig(*settings.TLS)
		if settings.TLS12 {
			secured.MaxVersion = tls.VersionTLS12
		}
		options = append(options, grpc.Creds(credentials.NewTLS(secured)))
	}
	return options
}

func tlsConfig(files tlsFiles) *tls.Config {
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	must(err)
	result := &tls.Config{Certificates: []tls.Certificate{pair}}
	if files.ClientCA != "" {
		pem, err := ioutil.ReadFile(files.ClientCA)
		must(err)
		result.ClientCAs = x509.NewCertPool()
		result.ClientCAs.AppendCertsFromPEM(pem)
		result.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return result
}

// closePolitely answers the calls under way, and ends.
func closePolitely(server *grpc.Server) {
	time.AfterFunc(closeGrace, server.Stop)
	server.GracefulStop()
	os.Exit(0)
}

func emit(value interface{}) {
	line, err := json.Marshal(value)
	must(err)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var settings config
	must(json.Unmarshal([]byte(os.Args[1]), &settings))
	served := &backend{
		Server:       health.NewServer(),
		errors:       map[string]error{},
		delay:        time.Duration(settings.DelayMs) * time.Millisecond,
		withoutWatch: settings.WithoutWatch,
		seen:         report{Recent: []call{}},
		peers:        map[string]bool{},
	}
	for service, text := range settings.Services {
		served.SetServingStatus(service, statusOf(text))
	}
	server := grpc.NewServer(serverOptions(settings)...)
	healthpb.RegisterHealthServer(server, served)
	listener, err := net.Listen("tcp", settings.Address)
	must(err)
	go func() { must(server.Serve(listener)) }()
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	go func() {
		<-terminate
		closePolitely(server)
	}()
	emit(map[string]string{"event": "listening"})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var todo command
		must(json.Unmarshal(lines.Bytes(), &todo))
		if todo.Do == "close" {
			closePolitely(server)
		}
		answer := map[string]interface{}{"id": todo.ID}
		if result, err := served.run(todo); err != nil {
			answer["error"] = err.Error()
		} else {
			answer["result"] = result
		}
		emit(answer)
	}
}
