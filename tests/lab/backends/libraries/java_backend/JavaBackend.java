// A gRPC health server on grpc-java over netty, the library of most servers on the JVM.
//
// It is configured and commanded like health_backend_process.ts: one JSON argument, then JSON lines on
// standard input, each answered by a JSON line of the same id.

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import io.grpc.Attributes;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.ClientAuth;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

public final class JavaBackend {
  /** How long calls may take to end when the server closes politely, in milliseconds. */
  private static final long CLOSE_GRACE_MS = 2000;

  /** How many calls a report lists. */
  private static final int RECENT_CALLS = 1000;

  private static final Gson GSON = new Gson();

  static final class Config {
    String address;
    Map<String, JsonElement> services;
    TlsFiles tls;
    boolean tls12;
    long maxConnectionAgeMs;
    long maxConnectionAgeGraceMs = 1000;
    int maxConcurrentStreams;
    long delayMs;
    boolean withoutWatch;
  }

  static final class TlsFiles {
    String cert;
    String key;
    String clientCa;
  }

  static final class Command {
    int id;
    // "do" is a word of the language.
    @com.google.gson.annotations.SerializedName("do")
    String what;
    String service;
    JsonElement status;
    int code;
    String details;
    long delayMs;
  }

  /** What the library's health service does not have: errors, delays, and a record of the calls. */
  static final class Backend extends HealthGrpc.HealthImplBase implements ServerInterceptor {
    private static final Context.Key<ServerCall<?, ?>> CALL = Context.key("call");
    private static final Context.Key<Metadata> METADATA = Context.key("metadata");

    private final HealthStatusManager statuses = new HealthStatusManager();
    private final HealthGrpc.HealthImplBase library =
        (HealthGrpc.HealthImplBase) statuses.getHealthService();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
    private final boolean withoutWatch;

    private final Map<String, Status> errors = new HashMap<>();
    /** Statuses that the library has no name for. */
    private final Map<String, Integer> numbers = new HashMap<>();
    private final Deque<Map<String, Object>> recent = new ArrayDeque<>();
    private final Set<String> peers = new HashSet<>();
    private long delayMs;
    private int calls;
    private int checks;
    private int cancelled;
    private int streams;

    Backend(long delayMs, boolean withoutWatch) {
      this.delayMs = delayMs;
      this.withoutWatch = withoutWatch;
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata metadata, ServerCallHandler<Q, A> next) {
      Context context = Context.current().withValues(CALL, call, METADATA, metadata);
      return Contexts.interceptCall(context, call, metadata, next);
    }

    @Override
    public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> answer) {
      long delay;
      synchronized (this) {
        record("Check", request.getService());
        checks++;
        delay = delayMs;
      }
      AtomicBoolean answered = new AtomicBoolean();
      ((ServerCallStreamObserver<HealthCheckResponse>) answer).setOnCancelHandler(() -> {
        if (answered.get()) return;
        synchronized (this) {
          cancelled++;
        }
      });
      Runnable reply = () -> {
        answered.set(true);
        reply(request, answer);
      };
      if (delay == 0) reply.run();
      else timer.schedule(reply, delay, TimeUnit.MILLISECONDS);
    }

    private void reply(HealthCheckRequest request, StreamObserver<HealthCheckResponse> answer) {
      Status error;
      Integer number;
      synchronized (this) {
        error = errors.get(request.getService());
        number = numbers.get(request.getService());
      }
      if (error != null) {
        answer.onError(error.asRuntimeException());
      } else if (number != null) {
        answer.onNext(HealthCheckResponse.newBuilder().setStatusValue(number).build());
        answer.onCompleted();
      } else {
        library.check(request, answer);
      }
    }

    @Override
    public void watch(HealthCheckRequest request, StreamObserver<HealthCheckResponse> answer) {
      synchronized (this) {
        record("Watch", request.getService());
        if (!withoutWatch) streams++;
      }
      if (withoutWatch) {
        answer.onError(Status.UNIMPLEMENTED.withDescription("no Watch here").asRuntimeException());
        return;
      }
      Context.current().addListener(context -> {
        synchronized (this) {
          streams--;
        }
      }, Runnable::run);
      library.watch(request, answer);
    }

    /** Called with the lock held. */
    private void record(String method, String service) {
      ServerCall<?, ?> call = CALL.get();
      Attributes attributes = call.getAttributes();
      String peer = String.valueOf(attributes.get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR)).replaceFirst("^/", "");
      Metadata fields = METADATA.get();
      Map<String, String> metadata = new LinkedHashMap<>();
      for (String name : fields.keys()) {
        if (name.endsWith(Metadata.BINARY_HEADER_SUFFIX)) continue;
        metadata.put(name, fields.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER)));
      }
      calls++;
      peers.add(peer);
      Map<String, Object> seen = new LinkedHashMap<>();
      seen.put("method", method);
      seen.put("service", service);
      seen.put("authority", call.getAuthority());
      seen.put("peer", peer);
      seen.put("metadata", metadata);
      recent.addLast(seen);
      if (recent.size() > RECENT_CALLS) recent.removeFirst();
    }

    synchronized void setStatus(String service, JsonElement status) {
      errors.remove(service);
      numbers.remove(service);
      if (status.getAsJsonPrimitive().isNumber()) numbers.put(service, status.getAsInt());
      else statuses.setStatus(service, ServingStatus.valueOf(status.getAsString()));
    }

    synchronized Object run(Command command) {
      switch (command.what) {
        case "status":
          setStatus(command.service, command.status);
          return null;
        case "error":
          errors.put(
              command.service, Status.fromCodeValue(command.code).withDescription(command.details));
          return null;
        case "delay":
          delayMs = command.delayMs;
          return null;
        case "report":
          Map<String, Object> report = new LinkedHashMap<>();
          report.put("calls", calls);
          report.put("checks", checks);
          report.put("cancelled", cancelled);
          report.put("streams", streams);
          report.put("connections", peers.size());
          report.put("recent", recent);
          return report;
        default:
          throw new IllegalArgumentException("unknown command " + command.what);
      }
    }
  }

  private static Server build(Config config, Backend backend) throws IOException {
    URI address = URI.create("tcp://" + config.address);
    NettyServerBuilder builder = NettyServerBuilder
        .forAddress(new InetSocketAddress(InetAddress.getByName(address.getHost()), address.getPort()))
        .addService(ServerInterceptors.intercept(backend, backend));
    if (config.maxConnectionAgeMs > 0) {
      builder.maxConnectionAge(config.maxConnectionAgeMs, TimeUnit.MILLISECONDS);
      builder.maxConnectionAgeGrace(config.maxConnectionAgeGraceMs, TimeUnit.MILLISECONDS);
    }
    if (config.maxConcurrentStreams > 0) {
      builder.maxConcurrentCallsPerConnection(config.maxConcurrentStreams);
    }
    if (config.tls != null) {
      SslContextBuilder tls = GrpcSslContexts
          .forServer(new File(config.tls.cert), new File(config.tls.key));
      if (config.tls12) tls.protocols("TLSv1.2");
      if (config.tls.clientCa != null) {
        tls.trustManager(new File(config.tls.clientCa)).clientAuth(ClientAuth.REQUIRE);
      }
      builder.sslContext(tls.build());
    }
    return builder.build();
  }

  /** Answers the calls under way. */
  private static void closePolitely(Server server) {
    try {
      if (!server.shutdown().awaitTermination(CLOSE_GRACE_MS, TimeUnit.MILLISECONDS)) {
        server.shutdownNow().awaitTermination(CLOSE_GRACE_MS, TimeUnit.MILLISECONDS);
      }
    } catch (InterruptedException interrupted) {
      server.shutdownNow();
    }
  }

  private static synchronized void emit(Object value) {
    System.out.println(GSON.toJson(value));
  }

  public static void main(String[] args) throws IOException {
    Config config = GSON.fromJson(args[0], Config.class);
    Backend backend = new Backend(config.delayMs, config.withoutWatch);
    config.services.forEach(backend::setStatus);
    Server server = build(config, backend).start();
    // What runs at SIGTERM.
    Runtime.getRuntime().addShutdownHook(new Thread(() -> closePolitely(server)));
    emit(Map.of("event", "listening"));
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Command command = GSON.fromJson(line, Command.class);
      if (command.what.equals("close")) break;
      Map<String, Object> answer = new HashMap<>();
      answer.put("id", command.id);
      try {
        answer.put("result", backend.run(command));
      } catch (RuntimeException error) {
        answer.put("error", error.toString());
      }
      emit(answer);
    }
    // Its test has closed it, or is gone: the hook does the rest.
    System.exit(0);
  }
}
