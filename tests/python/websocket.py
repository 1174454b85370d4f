"""WebSockets through the gateway, with the `websockets` package at both ends.

The application echoes; the gateway is in front of it; users sign in at a certified provider. Prints
"ok - CLAIM" or "not ok - CLAIM" for each claim. Nothing waits for time to pass, only for a condition.

    NODE=node PORTCULLIS=target/release/portcullis python3 tests/python/websocket.py
"""

import asyncio
import collections
import contextlib
import http
import http.cookiejar
import os
import pathlib
import re
import socket
import sys
import tempfile
import traceback
import urllib.error
import urllib.parse
import urllib.request

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = os.environ.get("NODE", "node")
PORTCULLIS = os.environ.get("PORTCULLIS", ROOT / "target/release/portcullis")
# Seconds until a condition that is waited for counts as failed.
PATIENCE = 20
# Random, so that compression does not make it small.
FLOOD = os.urandom(50_000)
# The streams of a session end within five seconds after it; a busy machine gets five more.
SOON = 10


class Application:
    """Sends the user's name first, then echoes. `closed` has the close codes of the sockets, by path."""

    def __init__(self):
        self.closed = collections.defaultdict(asyncio.Queue)

    async def serve(self):
        server = await websockets.serve(
            self.talk, "127.0.0.1", 0, process_request=self.page, max_size=None, subprotocols=["echo"]
        )
        return server.sockets[0].getsockname()[1]

    async def page(self, _path, headers):
        return None if "Upgrade" in headers else (http.HTTPStatus.OK, [], b"a page")

    async def talk(self, peer):
        await peer.send(peer.request_headers.get("X-Forwarded-User", "no user"))
        try:
            if peer.path.startswith("/flood"):
                while True:
                    await peer.send(FLOOD)
            async for message in peer:
                if message == "close":
                    await peer.close(4002, "closed on request")
                elif message == "die":
                    peer.transport.abort()
                else:
                    await peer.send(message)
        except ConnectionClosed:
            pass
        await self.closed[peer.path].put(peer.close_code)


class Gateway:
    """The gateway in front of the application."""

    def __init__(self, application, port):
        self.application = application
        self.address = f"http://localhost:{port}"

    async def sign_in(self):
        return await asyncio.to_thread(Visitor, self.address)

    def open(self, path="/echo", visitor=None, **options):
        headers = {"Cookie": f"portcullis={visitor.session}"} if visitor else {}
        address = self.address.replace("http", "ws") + path
        return websockets.connect(address, extra_headers=headers, max_size=None, **options)


class Visitor:
    """A user who has signed in as alice, with a simple browser."""

    def __init__(self, address):
        self.address = address
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
        )
        self.opener.addheaders = [("Accept", "text/html")]
        form = self.opener.open(f"{address}/page", timeout=PATIENCE)
        fields = urllib.parse.urlencode({"login": "alice", "password": "any"}).encode()
        page = self.opener.open(form.geturl(), fields, timeout=PATIENCE)
        assert page.read() == b"a page", page.geturl()
        self.session = next(cookie.value for cookie in jar if cookie.name == "portcullis")

    async def sign_out(self):
        await asyncio.to_thread(self.opener.open, f"{self.address}/oauth2/sign_out", None, PATIENCE)


async def messages_pass_both_ways(gateway):
    """messages of every kind are forwarded both ways, with the name of the user"""
    async with gateway.open(visitor=await gateway.sign_in()) as peer:
        assert await received(peer) == "alice"
        for message in ["grüße", "", b"", b"\x00\xff" * 1_000_000, "x" * 70_000]:
            await peer.send(message)
            assert await received(peer) == message
        await peer.send(part for part in ["in ", "three ", "parts"])
        assert await received(peer) == "in three parts"
        await asyncio.wait_for(await peer.ping(b"are you there"), PATIENCE)


async def many_messages_in_order(gateway):
    """a thousand messages on each of ten sockets arrive in order"""
    visitor = await gateway.sign_in()

    async def talk():
        async with gateway.open(visitor=visitor) as peer:
            await received(peer)
            sending = asyncio.create_task(say(peer, 1000))
            assert [await received(peer) for _ in range(1000)] == [str(n) for n in range(1000)]
            await sending

    async def say(peer, messages):
        for number in range(messages):
            await peer.send(str(number))

    await asyncio.gather(*(talk() for _ in range(10)))


async def what_the_ends_agree_on(gateway):
    """compression and subprotocol are negotiated by the two ends"""
    async with gateway.open(visitor=await gateway.sign_in(), subprotocols=["x", "echo"]) as peer:
        assert peer.subprotocol == "echo"
        assert "permessage-deflate" in peer.response_headers["Sec-WebSocket-Extensions"]


async def denials(gateway):
    """a handshake without session gets 401, and one of another site 403"""
    assert await denial(gateway.open()) == 401
    visitor = await gateway.sign_in()
    assert await denial(gateway.open(visitor=visitor, origin="http://evil.example")) == 403
    assert await denial(gateway.open(visitor=visitor, origin="null")) == 403
    async with gateway.open(visitor=visitor, origin=gateway.address) as peer:
        assert await received(peer) == "alice"


async def closings(gateway):
    """each side receives the close code of the other, or 1006 if its connection broke"""
    visitor = await gateway.sign_in()
    async with gateway.open("/leaves", visitor) as peer:
        await peer.close(4001, "enough")
    assert await within(PATIENCE, gateway.application.closed["/leaves"].get()) == 4001
    async with gateway.open("/left", visitor) as peer:
        await peer.send("close")
        end = await closed(peer)
        assert (end.code, end.reason) == (4002, "closed on request")
    async with gateway.open("/dies", visitor) as peer:
        await peer.send("die")
        assert (await closed(peer)).code == 1006
    async with gateway.open("/dead", visitor) as peer:
        await received(peer)
        peer.transport.abort()
    assert await within(PATIENCE, gateway.application.closed["/dead"].get()) == 1006


async def sign_out(gateway):
    """a sign-out closes the sockets of its session with 1008, idle and busy, and no other socket"""
    leaving, staying = await gateway.sign_in(), await gateway.sign_in()
    async with contextlib.AsyncExitStack() as stack:
        idle, busy, unread, other = [
            await stack.enter_async_context(gateway.open(path, visitor))
            for path, visitor in [("/idle", leaving), ("/flood", leaving), ("/flood/unread", leaving), ("/other", staying)]
        ]
        assert await received(busy) == "alice"
        assert await received(busy) == FLOOD
        reading = asyncio.gather(closed(idle, after=["alice"]), closed(busy, after=[FLOOD]))
        await leaving.sign_out()
        for end in await within(SOON, reading):
            assert end.code == 1008, end
        for path in ["/idle", "/flood", "/flood/unread"]:
            await within(SOON, gateway.application.closed[path].get())
        # This end has too much unread data before the Close frame to wait for it.
        unread.close_timeout = 0
        unread.transport.abort()
        assert await received(other) == "alice"
        await other.send("still here")
        assert await received(other) == "still here"
    assert await denial(gateway.open(visitor=leaving)) == 401


CLAIMS = [messages_pass_both_ways, many_messages_in_order, what_the_ends_agree_on, denials, closings, sign_out]


async def within(seconds, awaitable):
    return await asyncio.wait_for(awaitable, seconds)


async def received(peer):
    return await within(PATIENCE, peer.recv())


async def closed(peer, after=("alice",)):
    """Reads to the end, and returns how the other side closed; only messages in `after` may come before."""
    try:
        while True:
            message = await received(peer)
            assert message in after, len(message)
    except ConnectionClosed as end:
        return end


async def denial(connecting):
    try:
        async with connecting:
            return 101
    except InvalidStatusCode as denied:
        return denied.status_code


async def start(ready, *command):
    """Starts a process, and returns what `ready` found in its output, which is read to the end."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    found = asyncio.get_running_loop().create_future()

    async def follow():
        async for line in process.stdout:
            LOG.append(line.decode().rstrip())
            match = re.search(ready, LOG[-1])
            if match and not found.done():
                found.set_result(match)
        if not found.done():
            found.set_exception(RuntimeError(f"{command[0]} ended before it was ready"))

    PROCESSES.append(process)
    TASKS.append(asyncio.create_task(follow()))
    return await within(PATIENCE, found)


async def end(process):
    """Sends SIGTERM to a process, and SIGKILL if it does not end."""
    if process.returncode is None:
        process.terminate()
    try:
        await within(PATIENCE, process.wait())
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()


PROCESSES = []
LOG = []
TASKS = []


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


async def main(folder):
    application, port = Application(), free_port()
    gateway = Gateway(application, port)
    own = f"{gateway.address}/oauth2"
    issuer = await start(
        r"^http:\S+$", NODE, ROOT / "tests/node/op.mjs", f"{own}/callback", f"{own}/signed_out"
    )
    configuration = folder / "portcullis.yaml"
    configuration.write_text(f"""
server: {{ listen: "127.0.0.1:{port}", public_url: "{gateway.address}" }}
providers:
  certified: {{ issuer: "{issuer[0]}", client_id: portcullis, client_secret: op-secret }}
routes:
  - {{ upstream: "http://127.0.0.1:{await application.serve()}", allow: authenticated }}
admin: {{ listen: "off" }}
telemetry: {{ log: {{ format: json }} }}
""")
    await start(r'"message":"listening"', PORTCULLIS, "run", "--config", configuration)
    failed = 0
    for claim in CLAIMS:
        try:
            await claim(gateway)
            print(f"ok - {claim.__doc__}", flush=True)
        except Exception:  # The other claims are tested all the same.
            failed += 1
            print(f"not ok - {claim.__doc__}\n{traceback.format_exc()}", flush=True)
    return failed


async def whole(main):
    """Awaits `main`, and ends the processes that it started in any case."""
    failed = 1
    try:
        failed = await main
    except Exception:
        print(f"not ok - the script runs to its end\n{traceback.format_exc()}", flush=True)
    finally:
        await asyncio.gather(*(end(process) for process in PROCESSES))
        await asyncio.gather(*TASKS)
    if failed:
        print("--- output of the processes", *LOG[-80:], sep="\n")
    return min(failed, 1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        sys.exit(asyncio.run(whole(main(pathlib.Path(place)))))
