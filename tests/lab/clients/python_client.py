"""A gRPC client on gRPC's C core, to hold the agent's verdicts against.

Reads JSON lines {"id", "port", "authority", "ca", "service", "timeoutMs"} from standard input ("ca" is the
path of a PEM file, and asks for TLS) and answers each with {"id", "status"}, a number, or with
{"id", "code", "details"}, the name of the RPC's code, which is "OK" for a call without a message.
"""

import json
import sys
import threading

import grpc

CHECK = "/grpc.health.v1.Health/Check"
output = threading.Lock()


def encode_request(service):
    """Encodes a HealthCheckRequest."""
    name = service.encode()
    return b"\x0a" + bytes([len(name)]) + name if name else b""


def decode_response(data):
    """Gives the status of a HealthCheckResponse; raises ValueError when it does not decode."""
    if data == b"":
        return 0
    value = 0
    for position, byte in enumerate(data[1:]):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if data[0] != 0x08 or position + 2 != len(data):
                raise ValueError("unexpected field")
            return value
    raise ValueError("truncated")


def check(request):
    """Asks once, on a channel of its own."""
    authority = request["authority"]
    options = [
        ("grpc.enable_retries", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.default_authority", authority),
        ("grpc.enable_http_proxy", 0),
    ]
    target = f"127.0.0.1:{request['port']}"
    if request.get("ca"):
        with open(request["ca"], "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        options.append(("grpc.ssl_target_name_override", authority))
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
    with channel:
        call = channel.unary_unary(CHECK, encode_request, decode_response)
        try:
            status = call(request["service"], timeout=request["timeoutMs"] / 1000)
        except grpc.RpcError as error:
            return {"code": error.code().name, "details": error.details()}
    if status is None:
        return {"code": "OK", "details": "no message"}
    return {"status": status}


def answer(request):
    """Answers one request."""
    outcome = check(request)
    with output:
        print(json.dumps({"id": request["id"], **outcome}), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
