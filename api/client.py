"""Submits a Dockerfile to a cluster and shows the log: client.py CAP-FILE POOL DOCKERFILE

An example of a client in another language; README.md explains what it does and why. It needs pycapnp 2, the
`openssl` program, and schema.capnp beside this file.
"""

import asyncio
import base64
import contextlib
import hashlib
import pathlib
import re
import ssl
import struct
import subprocess
import sys
import tempfile

import capnp

HERE = pathlib.Path(__file__).parent
cluster = capnp.load(str(HERE / "schema.capnp"))


def own_certificate(context):
    """Creates a key for this run: servers require one, and accept any."""
    with tempfile.NamedTemporaryFile() as key, tempfile.NamedTemporaryFile() as certificate:
        openssl = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=capnp -keyout"
        subprocess.run([*openssl.split(), key.name, "-out", certificate.name], check=True, capture_output=True)
        context.load_cert_chain(certificate.name, key.name)


def fingerprint(certificate):
    """Returns the SHA-256 of a certificate's public key."""
    pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
    public = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem, check=True, capture_output=True)
    lines = public.stdout.decode().splitlines()[1:-1]
    return hashlib.sha256(base64.b64decode("".join(lines))).digest()


def unpad(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def bootstrap(question, service):
    """Returns the message that requests a service: a Message of one pointer, a Bootstrap with two, and the id."""
    text = service + b"\0"
    text_words = (len(text) + 7) // 8
    words = struct.pack("<IHH", 0, 1, 1)                       # the root: one word of data, one pointer
    words += struct.pack("<HHI", 8, 0, 0)                      # Message: the union member bootstrap
    words += struct.pack("<IHH", 0, 1, 1)                      # … which follows
    words += struct.pack("<II", question, 0)                   # Bootstrap: its question
    words += struct.pack("<II", 1, 2 | len(text) << 3)         # … and the id, a list of bytes
    words += text.ljust(8 * text_words, b"\0")
    return struct.pack("<II", 0, len(words) // 8) + words


async def relay(reader, writer, rewrite=lambda first: first):
    """Forwards all messages, the first one as `rewrite` returns it."""
    head = await reader.readexactly(8)
    segments, size = struct.unpack("<II", head)
    assert segments == 0, "the first message is small"
    first = head + await reader.readexactly(8 * size)
    writer.write(rewrite(first))
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def connect(line):
    """Returns the service that a sturdy ref names."""
    wanted, host, port, service = re.fullmatch(r"capnp://sha-256:([^@]+)@([^/]+):(\d+)/(\S+)", line.strip()).groups()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    own_certificate(context)
    outer_reader, outer_writer = await asyncio.open_connection(host, int(port), ssl=context)
    shown = outer_writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    if fingerprint(shown) != unpad(wanted):
        sys.exit("the server at that address has another key")

    # pycapnp cannot name a service. So it connects to this program, which adds the name.
    def name_service(first):
        question = struct.unpack_from("<I", first, 32)[0]
        return bootstrap(question, unpad(service))

    async def both_ways(reader, writer):
        # The program may end first, which is no error.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(relay(reader, outer_writer, name_service), relay(outer_reader, writer))

    server = await asyncio.start_server(both_ways, "127.0.0.1", 0)
    inner = await capnp.AsyncIoStream.create_connection(*server.sockets[0].getsockname())
    return capnp.TwoPartyClient(inner).bootstrap()


async def main(cap_file, pool, dockerfile):
    submission = (await connect(pathlib.Path(cap_file).read_text())).cast_as(cluster.Submission)
    description = cluster.JobDescr.new_message()
    description.action.init("dockerBuild").dockerfile.contents = pathlib.Path(dockerfile).read_text()
    # All calls are sent at once. The ticket and the job are held to the end.
    ticket = submission.submit(pool, description, False).ticket
    job = ticket.job().job
    result = job.result()
    start = 0
    while True:
        answer = await job.log(start)
        if not answer.log:
            break
        sys.stdout.buffer.write(answer.log)
        sys.stdout.flush()
        if answer.next <= start:
            sys.exit("the worker's log does not advance")
        start = answer.next
    print("Output:", repr((await result).output))


def run(program):
    try:
        asyncio.run(capnp.run(program))
    except capnp.KjException as error:
        # Escaped, as the text comes from another machine and could contain control characters.
        sys.exit(f"{error.type.lower()}: {error.description!r}")


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
