"""External authorization over gRPC, asked by a client that is not ours: `grpcio` with the messages of the Envoy API
(PyPI: `xds-protos`).

The files in `tests/vectors/ext_authz` are messages that those classes made. The unit tests of the gateway read and
write the same bytes, so its field numbers and types are those of the API. Prints "ok - CLAIM" or "not ok - CLAIM"
for each claim. With `--write` it writes the files, and does nothing else.

    NODE=node PORTCULLIS=target/release/portcullis PYTHONPATH=target/servers python3 tests/python/ext_authz.py
"""

import asyncio
import json
import pathlib
import sys
import tempfile
import traceback
import urllib.parse

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

import websocket
from websocket import NODE, PATIENCE, PORTCULLIS, ROOT, Visitor

VECTORS = ROOT / "tests/vectors/ext_authz"


def described(raw):
    """A request as Envoy describes it, with a value in every field that the gateway does not read."""
    check = external_auth_pb2.CheckRequest()
    attributes = check.attributes
    attributes.source.address.socket_address.address = "203.0.113.9"
    attributes.source.address.socket_address.port_value = 4711
    attributes.source.service = "a service"
    attributes.source.principal = "spiffe://a"
    attributes.destination.address.socket_address.address = "192.0.2.1"
    attributes.request.time.seconds = 1
    attributes.context_extensions["a"] = "b"
    attributes.metadata_context.filter_metadata["a"].fields["b"].number_value = 1
    attributes.tls_session.sni = "wiki.example"
    http = attributes.request.http
    http.id, http.method, http.path = "7", "POST", "/a%2fb;x//y?q=1"
    http.host, http.scheme, http.protocol, http.size = "wiki.example:8443", "https", "HTTP/2", 3
    http.query, http.fragment, http.body, http.raw_body = "no", "no", "abc", b"\xff"
    fields = [(":path", b"/other"), ("cookie", b"a=1; b=2"), ("x_forwarded_user", b"mallory")]
    for name, value in fields:
        if raw:
            http.header_map.headers.append(base_pb2.HeaderValue(key=name, raw_value=value + b"\xff"))
        else:
            http.headers[name] = value.decode()
    if raw:
        http.header_map.headers.append(base_pb2.HeaderValue(key="X-Text", value="text"))
    return check


def replaced(name, value):
    """A header that replaces the one that is there."""
    field = base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value))
    field.append.value = False
    field.append_action = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    return field


def allowed():
    answer = external_auth_pb2.CheckResponse()
    answer.status.code = 0
    answer.ok_response.headers.append(replaced("x-forwarded-user", "älice"))
    answer.ok_response.headers_to_remove.extend(["cookie", "x_forwarded_user"])
    for name, text in {"user": "älice", "route": "wiki", "rule": "allow[1]"}.items():
        answer.dynamic_metadata.fields[name].string_value = text
    return answer


def denied():
    answer = external_auth_pb2.CheckResponse()
    answer.status.code = 16
    answer.denied_response.status.code = 302
    answer.denied_response.headers.append(replaced("location", "https://wiki.example/"))
    answer.denied_response.body = "a page"
    answer.dynamic_metadata.fields["route"].string_value = "wiki"
    return answer


def vectors():
    """Name and content of each file."""
    messages = {
        "request": described(raw=False),
        "request-raw": described(raw=True),
        "allowed": allowed(),
        "denied": denied(),
    }
    return {name: it.SerializeToString(deterministic=True) for name, it in messages.items()}


class Envoy:
    """A channel to the gateway, as an Envoy has one."""

    def __init__(self, channel, address, session):
        self.channel = channel
        self.address = address
        self.session = f"portcullis={session}"
        self.stub = external_auth_pb2_grpc.AuthorizationStub(channel)

    async def check(self, method, path, fields=(), raw=False):
        check = external_auth_pb2.CheckRequest()
        check.attributes.source.address.socket_address.address = "203.0.113.9"
        http = check.attributes.request.http
        http.method, http.path, http.scheme = method, path, "http"
        http.host = self.address.removeprefix("http://")
        for name, value in fields:
            if raw:
                http.header_map.headers.append(base_pb2.HeaderValue(key=name, raw_value=value.encode()))
            else:
                http.headers[name] = value
        return await self.stub.Check(check, timeout=PATIENCE)

    async def bytes(self, method, message, **options):
        """A call whose messages are bytes."""
        same = {"request_serializer": bytes, "response_deserializer": bytes}
        return await self.channel.unary_unary(method, **same)(message, timeout=PATIENCE, **options)


def fields_of(headers):
    """Name and value of each header, all of which replace the one that is there."""
    for field in headers:
        assert field.HasField("append") and not field.append.value, field
        assert field.append_action == field.OVERWRITE_IF_EXISTS_OR_ADD, field
        assert not field.header.raw_value, field
    return {field.header.key: field.header.value for field in headers}


def set_fields(message):
    return {field.name for field, _ in message.ListFields()}


NAVIGATION = [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
CHECK = "/envoy.service.auth.v3.Authorization/Check"
HEALTH = "/grpc.health.v1.Health/Check"


async def files_are_messages_of_the_envoy_api(_envoy):
    """the messages in tests/vectors are those of the Envoy API"""
    for name, content in vectors().items():
        assert (VECTORS / name).read_bytes() == content, f"{name}: write the files again with --write"


async def user_is_allowed(envoy):
    """an answer that allows sets the identity, removes other spellings, hides the session and says why"""
    cookies = f"wiki=1; {envoy.session}"
    forged = [("x-forwarded-user", "mallory"), ("x_forwarded_user", "mallory"), ("x-other", "1")]
    for raw in [False, True]:
        answer = await envoy.check("GET", "/page?a=1", [("cookie", cookies), *forged], raw)
        assert set_fields(answer) == {"status", "ok_response", "dynamic_metadata"}, answer
        assert answer.status.code == 0, answer
        assert set_fields(answer.ok_response) == {"headers", "headers_to_remove"}, answer
        fields = fields_of(answer.ok_response.headers)
        assert fields["x-forwarded-user"] == "alice", answer
        assert fields["cookie"] == "wiki=1", answer
        removed = set(answer.ok_response.headers_to_remove)
        assert "x_forwarded_user" in removed and "x-other" not in removed, answer
        assert not removed & set(fields), answer
        metadata = dict(answer.dynamic_metadata)
        assert metadata == {"user": "alice", "route": "all", "rule": "authenticated"}, answer
    answer = await envoy.check("GET", "/open", [("cookie", envoy.session)])
    assert "cookie" in answer.ok_response.headers_to_remove, answer
    assert answer.dynamic_metadata["rule"] == "public", answer


async def denials_are_answers(envoy):
    """a denial is a 302, 401 or 403 that sets no cookie and has no cookie of the application"""
    cookies, session = ("cookie", "wiki=1"), ("cookie", f"wiki=1; {envoy.session}")
    for method, path, fields, code, status in [
        ("GET", "/page?a=1", [*NAVIGATION, cookies], 16, 302),
        ("GET", "/page", [cookies], 16, 401),
        ("POST", "/page", [*NAVIGATION, cookies], 16, 401),
        ("GET", "/staff", [*NAVIGATION, session], 7, 403),
        ("GET", "/open/../page", [session], 7, 403),
        ("TRACE", "/open", [session], 7, 403),
    ]:
        answer = await envoy.check(method, path, fields)
        assert set_fields(answer) >= {"status", "denied_response"}, answer
        assert not answer.HasField("ok_response"), answer
        denied = answer.denied_response
        assert (answer.status.code, denied.status.code) == (code, status), (path, answer)
        headers = fields_of(denied.headers)
        assert headers["cache-control"] == "no-store", answer
        assert not {"cookie", "set-cookie"} & set(headers), answer
        assert not any(name.startswith("x-forwarded-") for name in headers), answer
        if status == 302:
            start, query = headers["location"].split("?")
            assert start == f"{envoy.address}/oauth2/start", answer
            assert urllib.parse.parse_qs(query)["rd"] == [f"{envoy.address}{path}"], answer
        if status == 401 and fields == [cookies]:
            assert json.loads(denied.body)["login_url"], answer
        if path == "/staff":
            assert denied.body.startswith("<!doctype html>"), answer


async def faults_are_answers(envoy):
    """a call that is empty, malformed, compressed or too long is denied without an error of gRPC"""
    empty = external_auth_pb2.CheckRequest()
    answers = [await envoy.stub.Check(empty, timeout=PATIENCE)]
    good = external_auth_pb2.CheckRequest()
    good.attributes.request.http.path = "/open?" + "x" * 2000  # Short messages are not compressed.
    zipped = grpc.Compression.Gzip
    answers.append(await envoy.stub.Check(good, timeout=PATIENCE, compression=zipped))
    for message in [b"\xff", b"\x0a\x7f", bytes(97 * 1024)]:
        answer = await envoy.bytes(CHECK, message)
        answers.append(external_auth_pb2.CheckResponse.FromString(answer))
    for answer in answers:
        assert (answer.status.code, answer.denied_response.status.code) == (7, 403), answer


async def health(envoy):
    """a health check is answered, and other methods are not there"""
    assert await envoy.bytes(HEALTH, b"") == b"\x08\x01"
    service = b"envoy.service.auth.v3.Authorization"
    assert await envoy.bytes(HEALTH, bytes([10, len(service)]) + service) == b"\x08\x01"
    for method, message, code in [
        (HEALTH, b"\x0a\x01x", grpc.StatusCode.NOT_FOUND),
        ("/envoy.service.auth.v3.Authorization/Other", b"", grpc.StatusCode.UNIMPLEMENTED),
    ]:
        try:
            await envoy.bytes(method, message)
            raise AssertionError(method)
        except grpc.aio.AioRpcError as error:
            assert error.code() == code, error


CLAIMS = [
    files_are_messages_of_the_envoy_api,
    user_is_allowed,
    denials_are_answers,
    faults_are_answers,
    health,
]


async def main(folder):
    application, port = websocket.Application(), websocket.free_port()
    address = f"http://localhost:{port}"
    own = f"{address}/oauth2"
    provider = ROOT / "tests/node/op.mjs"
    issuer = await websocket.start(
        r"^http:\S+$", NODE, provider, f"{own}/callback", f"{own}/signed_out"
    )
    upstream = f"http://127.0.0.1:{await application.serve()}"
    configuration = folder / "portcullis.yaml"
    configuration.write_text(f"""
server:
  listen: "127.0.0.1:{port}"
  public_url: "{address}"
  forward_auth: {{ clients: [{{ from: [127.0.0.1], proxy: envoy }}] }}
providers:
  certified: {{ issuer: "{issuer[0]}", client_id: portcullis, client_secret: op-secret }}
routes:
  - {{ name: all, upstream: "{upstream}", allow: authenticated }}
  - {{ path: /open, allow: public }}
  - {{ path: /staff, allow: [{{ groups: [absent] }}] }}
admin: {{ listen: "off" }}
telemetry: {{ log: {{ format: json }} }}
""")
    command = [PORTCULLIS, "run", "--config", configuration]
    await websocket.start(r'"message":"listening"', *command)
    visitor = await asyncio.to_thread(Visitor, address)
    failed = 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        envoy = Envoy(channel, address, visitor.session)
        for claim in CLAIMS:
            try:
                await claim(envoy)
                print(f"ok - {claim.__doc__}", flush=True)
            except Exception:  # The other claims are tested all the same.
                failed += 1
                print(f"not ok - {claim.__doc__}\n{traceback.format_exc()}", flush=True)
    return failed


def write():
    VECTORS.mkdir(exist_ok=True)
    for name, content in vectors().items():
        (VECTORS / name).write_bytes(content)


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        sys.exit(write())
    with tempfile.TemporaryDirectory() as place:
        sys.exit(asyncio.run(websocket.whole(main(pathlib.Path(place)))))
