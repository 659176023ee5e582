"""A gRPC health server on gRPC's C core, the library behind most servers that are not Go or Java.

It is configured and commanded like health_backend_process.ts: one JSON argument, then JSON lines on
standard input, each answered by a JSON line of the same id. The two messages of grpc.health.v1 are one
field each, so they are encoded here and no protobuf package is needed.
"""

import json
import os
import signal
import sys
import threading
import time
from concurrent import futures

import grpc

STATUSES = {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3}


def read_varint(data, at):
    """Gives the number at an offset and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def decode_request(data):
    """Gives the service name of a HealthCheckRequest."""
    service, at = "", 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag != 0x0A:
            raise ValueError(f"unexpected tag {tag}")
        length, at = read_varint(data, at)
        service = data[at : at + length].decode()
        at += length
    return service


def encode_response(status):
    """Encodes a HealthCheckResponse; a status of 0 is the empty message, as proto3 has it."""
    value = STATUSES.get(status, status)
    if value == 0:
        return b""
    encoded = bytearray(b"\x08")
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class Health:
    """The service's state, shared by all calls; every access holds the lock."""

    def __init__(self, services, delay_ms, without_watch):
        self.lock = threading.Condition()
        self.answers = {name: {"status": status} for name, status in services.items()}
        self.delay_ms = delay_ms
        self.without_watch = without_watch
        self.calls = {"Check": 0, "Watch": 0}
        self.cancelled = 0
        self.streams = 0
        self.peers = set()
        self.recent = []

    def set_answer(self, service, answer):
        with self.lock:
            self.answers[service] = answer
            self.lock.notify_all()

    def report(self):
        with self.lock:
            return {
                "calls": sum(self.calls.values()),
                "checks": self.calls["Check"],
                "cancelled": self.cancelled,
                "streams": self.streams,
                "connections": len(self.peers),
                "recent": self.recent,
            }

    def record(self, method, service, context):
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        peer = context.peer()
        with self.lock:
            self.calls[method] += 1
            self.peers.add(peer)
            # The library keeps the authority to itself.
            call = {"method": method, "service": service, "authority": "", "peer": peer}
            self.recent = self.recent[-999:] + [{**call, "metadata": metadata}]

    def check(self, data, context):
        service = decode_request(data)
        self.record("Check", service, context)
        with self.lock:
            answer = self.answers.get(service)
            delay_ms = self.delay_ms
        if delay_ms > 0:
            self.hold_back(delay_ms / 1000, context)
        if answer is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        if "code" in answer:
            code = next(code for code in grpc.StatusCode if code.value[0] == answer["code"])
            context.abort(code, answer["details"])
        return encode_response(answer["status"])

    def hold_back(self, seconds, context):
        """Takes its time, and notes when nobody waits for the answer any more."""
        over = time.monotonic() + seconds
        given_up = threading.Event()
        if not context.add_callback(given_up.set) or given_up.wait(seconds):
            with self.lock:
                self.cancelled += 1
            time.sleep(max(0, over - time.monotonic()))

    def watch(self, data, context):
        service = decode_request(data)
        self.record("Watch", service, context)
        if self.without_watch:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "no Watch here")
        with self.lock:
            if context.add_callback(self.end_stream):
                self.streams += 1
        told = None
        while context.is_active():
            with self.lock:
                status = self.answers.get(service, {}).get("status", "SERVICE_UNKNOWN")
                if status == told:
                    self.lock.wait(0.2)
                    continue
            told = status
            yield encode_response(status)

    def end_stream(self):
        with self.lock:
            self.streams -= 1


def start_server(config, health):
    options = [("grpc.so_reuseport", 0)]
    if "maxConnectionAgeMs" in config:
        grace = config.get("maxConnectionAgeGraceMs", 1000)
        options.append(("grpc.max_connection_age_ms", config["maxConnectionAgeMs"]))
        options.append(("grpc.max_connection_age_grace_ms", grace))
    if "maxConcurrentStreams" in config:
        options.append(("grpc.max_concurrent_streams", config["maxConcurrentStreams"]))
    threads = futures.ThreadPoolExecutor(max_workers=config.get("threads", 32))
    server = grpc.server(threads, options=options)
    handlers = {
        "Check": grpc.unary_unary_rpc_method_handler(health.check),
        "Watch": grpc.unary_stream_rpc_method_handler(health.watch),
    }
    service = grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers)
    server.add_generic_rpc_handlers((service,))
    address = config["address"]
    tls = config.get("tls")
    if tls is None:
        bound = server.add_insecure_port(address)
    else:
        bound = server.add_secure_port(address, read_credentials(tls))
    if not address.endswith(f":{bound}"):
        raise OSError(f"cannot listen on {address}")
    server.start()
    return server


def read_credentials(tls):
    def read(name):
        with open(tls[name], "rb") as file:
            return file.read()

    client_ca = read("clientCa") if "clientCa" in tls else None
    pair = (read("key"), read("cert"))
    return grpc.ssl_server_credentials((pair,), client_ca, client_ca is not None)


def run(command, health):
    todo = command["do"]
    if todo == "status":
        health.set_answer(command["service"], {"status": command["status"]})
    elif todo == "error":
        answer = {"code": command["code"], "details": command["details"]}
        health.set_answer(command["service"], answer)
    elif todo == "delay":
        with health.lock:
            health.delay_ms = command["delayMs"]
    elif todo == "report":
        return health.report()
    else:
        raise ValueError(f"unknown command {todo}")
    return None


def close_politely(server):
    server.stop(grace=2).wait()
    os._exit(0)


def emit(value):
    print(json.dumps(value, separators=(",", ":")), flush=True)


def main():
    config = json.loads(sys.argv[1])
    health = Health(
        config["services"], config.get("delayMs", 0), config.get("withoutWatch", False)
    )
    server = start_server(config, health)
    signal.signal(signal.SIGTERM, lambda *_: close_politely(server))
    emit({"event": "listening"})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "close":
            close_politely(server)
        try:
            emit({"id": command["id"], "result": run(command, health)})
        except Exception as error:  # The test hears of it.
            emit({"id": command["id"], "error": repr(error)})
    # Without its test it has nothing to do; threads of open streams must not keep it.
    os._exit(0)


main()
