"""vsock connections in both directions, from inside a guest. The host's side is in vsock.test.ts."""
import errno
import select
import socket
import struct
import threading
import zlib

from checks import check, run, say

HOST = socket.VMADDR_CID_HOST
MIB = 1 << 20
CHUNK = 256 * 1024
CONNECTIONS = 200
SINK, SOURCE, ECHO, MORTAL, LAZY, SIZE, NOBODY = 7000, 7001, 7002, 7003, 7004, 7005, 7999
LISTENING = 8000
RESET = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)


def connect(port):
    stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    stream.settimeout(120)
    stream.connect((HOST, port))
    return stream


def receive_all(stream):
    pieces = []
    while piece := stream.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


with connect(SIZE) as asked:
    # Bytes of a large transfer.
    TRANSFER = int(receive_all(asked))


@check("a large transfer to the host arrives whole")
def _():
    with connect(SINK) as stream:
        chunk = bytearray(range(256)) * (CHUNK // 256)
        checksum = 0
        for index in range(TRANSFER // CHUNK):
            # No two chunks are the same: one that is lost, doubled or out of order shows.
            struct.pack_into("<Q", chunk, 0, index)
            checksum = zlib.crc32(chunk, checksum)
            stream.sendall(chunk)
        stream.shutdown(socket.SHUT_WR)
        assert receive_all(stream) == f"{TRANSFER} {checksum}".encode()


@check("a large transfer from the host arrives whole")
def _():
    with connect(SOURCE) as stream:
        stream.sendall(struct.pack("<Q", TRANSFER))
        memory = bytearray(CHUNK)
        view = memoryview(memory)
        checksum, length = 0, 0
        while count := stream.recv_into(memory):
            checksum = zlib.crc32(view[:count], checksum)
            length += count
            if length == TRANSFER:
                break
        stream.sendall(struct.pack("<I", checksum))
        assert receive_all(stream) == b"right", length


@check("200 connections at once, each half-closed, are apart")
def _():
    streams = [connect(ECHO) for _ in range(CONNECTIONS)]
    for index, stream in enumerate(streams):
        stream.sendall(f"stream {index} ".encode() * 100)
    for stream in streams:
        stream.shutdown(socket.SHUT_WR)
    for index, stream in reversed(list(enumerate(streams))):
        assert receive_all(stream) == f"stream {index} ".encode() * 100, index
        stream.close()


@check("a port that nobody has is refused")
def _():
    for _ in range(3):
        try:
            connect(NOBODY)
        except OSError as error:
            assert error.errno in (errno.ECONNRESET, errno.ECONNREFUSED), error
        else:
            raise AssertionError("connected to nobody")


@check("the death of the host's program ends its connections")
def _():
    stream = connect(MORTAL)
    assert stream.recv(5) == b"hello"
    say("READY for the host's program to die")
    try:
        rest = stream.recv(1)
    except OSError as error:
        assert error.errno in RESET, error
    else:
        assert rest == b"", rest
    for _ in range(100):
        try:
            stream.send(b"anybody?")
        except OSError as error:
            assert error.errno in RESET, error
            break
        select.select([], [], [], 0.05)
    else:
        raise AssertionError("still writes to a program that is dead")


@check("a host that does not read holds the guest back, and loses nothing")
def _():
    stream = connect(LAZY)
    stream.setblocking(False)
    sent, checksum, refusals = 0, 0, 0
    block = bytes(range(256)) * 64
    while refusals < 20 and sent < 64 * MIB:
        try:
            count = stream.send(block)
            checksum = zlib.crc32(block[:count], checksum)
            sent += count
            refusals = 0
        except BlockingIOError:
            refusals += 1
            select.select([], [], [], 0.05)
    assert 64 * 1024 <= sent <= 4 * MIB, sent
    say("READY for the host to read")
    stream.setblocking(True)
    stream.shutdown(socket.SHUT_WR)
    stream.settimeout(120)
    assert receive_all(stream) == f"{sent} {checksum}".encode(), sent
    stream.close()


@check("connections of the host reach the guest's programs")
def _():
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((socket.VMADDR_CID_ANY, LISTENING))
    listener.listen(64)
    listener.settimeout(120)
    say("READY for connections of the host")
    answered = []

    def answer(stream):
        stream.settimeout(120)
        stream.sendall(receive_all(stream)[::-1])
        answered.append(stream.getpeername()[0])
        stream.close()

    threads = []
    for _ in range(50):
        stream, (cid, _) = listener.accept()
        threads.append(threading.Thread(target=answer, args=(stream,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert answered == [HOST] * 50, len(answered)


run()
