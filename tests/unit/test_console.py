"""The console: who gets in, what goes through, how it ends. Real websockets, real terminals."""

import asyncio
import json
import os
import pwd
import re
import select
import ssl
import subprocess

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from pbxlib import console as console_
from pbxlib import settings
from pbxlib.console import Console, Refusal
from pbxlib.tickets import Tickets

SHELL = ["/bin/sh", "-c", "stty -echo; echo up $$; while read line; do eval $line; done"]


class House:
    """A console that listens on loopback, and its clients."""

    def __init__(self, folder, command, given, timeouts=()):
        self.tickets = Tickets(str(folder / "console"))
        self.section = dict(settings.resolve({"console": given})["console"], port=0)
        self.section.update(timeouts)
        self.command = command

    async def __aenter__(self):
        self.console = Console(
            self.section, self.tickets, self.command, lambda name: pwd.getpwuid(os.getuid())
        )
        self.port = self.console.listen()
        return self

    async def __aexit__(self, *_):
        self.console.close()

    async def connect(self, **more):
        scheme = "wss" if self.section["cert"] else "ws"
        url = f"{scheme}://127.0.0.1:{self.port}/console"
        return Client(await websocket_connect(HTTPRequest(url, **more)))

    async def enter(self):
        client = await self.connect()
        client.send_text(self.tickets.issue()[0])
        return client


class Client:
    def __init__(self, socket):
        self.socket = socket
        self.send_text = socket.write_message
        self.seen = b""

    def send(self, **message):
        return self.socket.write_message(json.dumps(message))

    async def until(self, pattern):
        """The match of ``pattern`` in what the terminal showed."""
        while not (match := re.search(pattern, self.seen)):
            message = await asyncio.wait_for(self.socket.read_message(), 10)
            assert message is not None, (self.socket.close_code, self.socket.close_reason)
            self.seen += message
        return match

    async def up(self):
        """Wait for the shell; return its pid."""
        return int((await self.until(rb"up (\d+)\r\n")).group(1))

    async def closed(self):
        """Wait for the end; return its code."""
        while await asyncio.wait_for(self.socket.read_message(), 10) is not None:
            pass
        return self.socket.close_code


def gone(pid):
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


@pytest.fixture
def play(tmp_path):
    """Run ``story(house)`` with a console of the given settings and command."""

    def run(story, command=SHELL, timeouts=(), **given):
        async def main():
            async with House(tmp_path, command, given, timeouts) as house:
                await story(house)

        asyncio.run(main())

    return run


def test_what_is_typed_goes_in_and_what_is_shown_comes_out(play):
    async def story(house):
        client = await house.enter()
        client.send(type="input", data="grüß Gott\n")
        # Once as the terminal's echo, once from cat.
        await client.until("(grüß Gott\r\n){2}".encode())

    play(story, command=["cat"])


def test_a_window_that_changes_its_size_changes_the_terminals(play):
    async def story(house):
        client = await house.enter()
        await client.up()
        client.send(type="resize", rows=51, cols=173)
        client.send(type="input", data="stty size\n")
        await client.until(rb"51 173\r\n")

    play(story)


@pytest.mark.parametrize("ticket", ["", "guess", "x" * 43, b"binary"])
def test_a_wrong_ticket_is_refused(play, ticket):
    async def story(house):
        house.tickets.issue()
        client = await house.connect()
        await client.socket.write_message(ticket, binary=isinstance(ticket, bytes))
        assert await client.closed() == Refusal.BAD_TICKET
        assert not house.console.sessions

    play(story)


def test_an_old_ticket_is_refused(play):
    async def story(house):
        house.tickets = house.console.tickets = Tickets(house.tickets.folder, valid=0)
        client = await house.enter()
        assert await client.closed() == Refusal.BAD_TICKET

    play(story)


def test_a_ticket_opens_one_console_only(play):
    async def story(house):
        ticket, _ = house.tickets.issue()
        first, second = await house.connect(), await house.connect()
        first.send_text(ticket)
        await first.up()
        second.send_text(ticket)
        assert await second.closed() == Refusal.BAD_TICKET

    play(story)


def test_who_shows_no_ticket_is_sent_away(play, monkeypatch):
    monkeypatch.setattr(console_, "TICKET_WAIT", 0.3)

    async def story(house):
        client = await house.connect()
        assert await client.closed() == Refusal.IDLE
        assert not house.console.waiting

    play(story)


def test_no_more_than_a_few_may_wait_without_a_ticket(play, monkeypatch):
    monkeypatch.setattr(console_, "MAX_WAITING", 2)

    async def story(house):
        waiting = [await house.connect() for _ in range(2)]
        late = await house.connect()
        assert await late.closed() == Refusal.TOO_MANY
        waiting[0].send_text(house.tickets.issue()[0])
        await waiting[0].up()

    play(story)


@pytest.mark.parametrize(
    ("origins", "headers", "allowed"),
    [
        ([], {"Origin": "http://{host}"}, True),
        ([], {"Origin": "https://evil.example.com"}, False),
        ([], {"Origin": "null"}, False),
        (["https://odoo.example.com"], {"Origin": "https://odoo.example.com"}, True),
        (["https://odoo.example.com"], {"Origin": "https://odoo.example.com.evil.com"}, False),
        (["https://odoo.example.com"], {"Origin": "http://odoo.example.com"}, False),
        (["https://odoo.example.com"], {"Origin": "http://{host}"}, False),
        # What a browser adds by itself does not stand in for the list.
        (
            ["https://odoo.example.com"],
            {"Origin": "http://{host}", "Sec-Fetch-Site": "same-origin"},
            False,
        ),
        (
            ["https://odoo.example.com"],
            {"Origin": "https://odoo.example.com", "Sec-Fetch-Site": "cross-site"},
            True,
        ),
    ],
)
def test_only_pages_of_a_listed_origin_may_connect(play, origins, headers, allowed):
    async def story(house):
        host = f"127.0.0.1:{house.port}"
        sent = {name: value.format(host=host) for name, value in headers.items()}
        if allowed:
            await house.connect(headers=sent)
        else:
            with pytest.raises(HTTPClientError) as refused:
                await house.connect(headers=sent)
            assert refused.value.code == 403

    play(story, origins=origins)


def test_closing_the_browser_ends_what_ran_in_the_console(play):
    async def story(house):
        client = await house.enter()
        shell = await client.up()
        client.send(type="input", data="sleep 1000 & echo child $!\n")
        child = int((await client.until(rb"child (\d+)\r\n")).group(1))
        client.socket.close()
        await asyncio.get_running_loop().run_in_executor(None, gone, shell)
        await asyncio.get_running_loop().run_in_executor(None, gone, child)
        assert not house.console.sessions

    play(story)


def test_closing_the_server_ends_even_what_ignores_the_hangup(play, monkeypatch):
    monkeypatch.setattr(console_, "GRACE", 0.05)
    pids = []

    async def story(house):
        client = await house.enter()
        pids.append(await client.up())
        client.send(type="input", data="trap '' HUP; sleep 1000 & echo child $!\n")
        pids.append(int((await client.until(rb"child (\d+)\r\n")).group(1)))

    play(story)
    assert len(pids) == 2
    assert not os.path.exists(f"/proc/{pids[0]}")
    assert gone(pids[1])


def test_leaving_the_console_closes_the_connection(play):
    async def story(house):
        client = await house.enter()
        await client.up()
        client.send(type="input", data="exit\n")
        assert await client.closed() == 1000
        assert not house.console.sessions

    play(story)


def test_a_console_in_which_nothing_is_typed_ends_even_while_it_shows_something(play):
    async def story(house):
        client = await house.enter()
        assert await client.closed() == Refusal.IDLE
        assert not house.console.sessions

    play(story, command=["yes"], timeouts={"idle_timeout": 0.1})


def test_typing_keeps_a_console_open(play):
    async def story(house):
        client = await house.enter()
        await client.up()
        for turn in range(3):
            client.send(type="input", data=f"sleep 1; echo turn {turn}\n")
            await client.until(b"turn %d\r\n" % turn)

    play(story, timeouts={"idle_timeout": 2.5})


def test_there_are_no_more_sessions_than_set_and_a_place_comes_free_again(play):
    async def story(house):
        first = await house.enter()
        await first.up()
        second = await house.enter()
        assert await second.closed() == Refusal.TOO_MANY
        first.send(type="input", data="exit\n")
        await first.closed()
        third = await house.enter()
        await third.up()

    play(story, max_sessions=1)


@pytest.mark.parametrize(
    "message",
    [
        "not JSON",
        "[]",
        "null",
        '{"type": "signal"}',
        '{"type": "input", "data": 7}',
        '{"type": "input", "data": "\\ud800"}',
        '{"type": "resize", "rows": 0, "cols": 80}',
        '{"type": "resize", "rows": true, "cols": 80}',
        '{"type": "resize", "rows": 24, "cols": 70000}',
        "[" * 60000,
    ],
)
def test_a_message_that_is_not_understood_ends_the_session(play, message):
    async def story(house):
        client = await house.enter()
        await client.up()
        client.send_text(message)
        assert await client.closed() == Refusal.BAD_MESSAGE

    play(story)


def test_a_message_above_the_limit_ends_the_session(play):
    async def story(house):
        client = await house.enter()
        await client.up()
        client.send(type="input", data="x" * console_.MESSAGE_BYTES)
        await client.closed()
        assert not house.console.sessions

    play(story)


def test_a_paste_larger_than_the_terminal_takes_at_once_arrives_whole(play):
    async def story(house):
        client = await house.enter()
        await client.up()
        client.send(type="input", data="\n")
        await client.until(rb"ready")
        for _ in range(10):
            client.send(type="input", data="x" * 50_000)
        client.send(type="input", data="\n")
        await client.until(rb"500001")

    play(
        story,
        command=[
            "/bin/sh",
            "-c",
            "echo up $$; read line; stty raw -echo; echo ready; head -c 500001 | wc -c",
        ],
    )


def test_a_client_that_does_not_read_stops_the_program_and_not_the_server(play):
    async def story(house):
        slow = await house.enter()
        await slow.up()
        (session,) = house.console.sessions
        slow.send(type="input", data="yes 0123456789\n")
        # Not reading its messages, the client stops reading its socket. What the kernel holds
        # for it goes by megabytes; then one message is stuck.
        while session.sending.done() or (await asyncio.wait({session.sending}, timeout=0.3))[0]:
            await asyncio.sleep(0)
        assert len(session.ws_connection.stream._write_buffer) <= 2 * console_.OUTPUT_BYTES
        other = await house.enter()
        await other.up()
        slow.send(type="input", data="\x03")
        assert await slow.closed() == 1000

    play(story)


def test_it_speaks_tls_when_it_has_a_certificate(play, tmp_path):
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    names = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        [*command.split(), *names.split(), "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )

    async def story(house):
        client = await house.connect(ca_certs=cert)
        client.send_text(house.tickets.issue()[0])
        await client.up()

    play(story, cert=cert, key=key)


def test_a_certificate_that_cannot_be_read_is_an_error_of_listening(tmp_path):
    async def main():
        section = settings.resolve({"console": {"cert": "/nowhere/c", "key": "/nowhere/k"}})
        with pytest.raises((OSError, ssl.SSLError)):
            Console(section["console"], Tickets(str(tmp_path))).listen()

    asyncio.run(main())


def test_a_missing_user_is_said_in_the_log_and_not_to_the_client(play, caplog):
    async def story(house):
        house.console._account = console_.unprivileged
        client = await house.enter()
        assert await client.closed() == 1011
        assert "log" in client.socket.close_reason
        assert "there-is-none" in caplog.text

    play(story, user="there-is-none")
