"""A client of Concierge in Python: generated from `proto/`, and wrapped so that a call is one line."""

import importlib
import pathlib
import socketserver
import sys
import threading
import time
import uuid

import grpc
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[3]
SERVICES = {"directory": 0, "ticket_rule": 1, "notification": 2}


def generate(into: pathlib.Path) -> None:
    """Generates the client: what any user of the contract does."""
    protos = [str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto")]
    include = importlib.resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", f"--python_out={into}", f"--grpc_python_out={into}"]
    if protoc.main(arguments + protos) != 0:
        sys.exit("story: the client could not be generated")
    sys.path.insert(0, str(into))


def request_id() -> str:
    return str(uuid.uuid4())


class Service:
    """One service of the contract: `customers.GetCustomer(id=…)` sends a GetCustomerRequest with these fields.

    Messages inside are given as dicts, enum values by their names; a `request_id` is made where one is needed.
    """

    def __init__(self, channel: grpc.Channel, package: str, file: str, name: str, token: str) -> None:
        self.messages = importlib.import_module(f"concierge.{package}.v1.{file}_pb2")
        stubs = importlib.import_module(f"concierge.{package}.v1.{file}_pb2_grpc")
        self.stub = getattr(stubs, f"{name}Stub")(channel)
        self.metadata = (("authorization", f"Bearer {token}"),)

    def __getattr__(self, rpc: str):
        request = getattr(self.messages, f"{rpc}Request")

        def call(timeout: float = 10.0, **fields):
            if "request_id" in request.DESCRIPTOR.fields_by_name:
                fields.setdefault("request_id", request_id())
            return getattr(self.stub, rpc)(request(**fields), metadata=self.metadata, timeout=timeout)

        return call


class Suite:
    """The three services, where `concierge up` puts them."""

    def __init__(self, port: int, token: str) -> None:
        self.channels = {name: grpc.insecure_channel(f"127.0.0.1:{port + n}") for name, n in SERVICES.items()}
        self.token = token

    def service(self, package: str, file: str, token: str | None = None) -> Service:
        """The service of `proto/concierge/<package>/v1/<file>.proto`, called with the token or the suite's own."""
        name = "".join(word.capitalize() for word in file.split("_")) + "Service"
        return Service(self.channels[package], package, file, name, token or self.token)


def eventually(what: str, check, seconds: float = 20.0):
    """Waits for what another service hears of by event."""
    until = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > until:
            sys.exit(f"story: {what} did not happen within {seconds} s")
        time.sleep(0.1)


def once_heard(what: str, call):
    """Repeats a call until its service has heard of the records that it names."""

    def attempt():
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None

    return eventually(f"{what}: hearing of its records", attempt)


class MailServer(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps whom each mail is for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MailSession)
        self.recipients: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_) -> None:
        self.shutdown()
        self.server_close()

    @property
    def port(self) -> int:
        return self.server_address[1]


class MailSession(socketserver.StreamRequestHandler):
    """The little of RFC 5321 that a sender needs."""

    def handle(self) -> None:
        self.say("220 mail.example")
        recipients: list[str] = []
        for line in self.rfile:
            command = line.decode(errors="replace").strip()
            verb = command[:4].upper()
            if verb == "DATA":
                self.say("354 go on")
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    pass
                self.server.recipients += recipients
                recipients = []
                self.say("250 taken")
            elif verb == "QUIT":
                return self.say("221 bye")
            else:
                if verb == "RCPT":
                    recipients.append(command.partition("<")[2].partition(">")[0])
                self.say("250 mail.example")

    def say(self, reply: str) -> None:
        self.wfile.write(f"{reply}\r\n".encode())
