"""Disks in all modes, from inside a guest: found by their ids."""
import errno
import glob
import mmap
import os
import subprocess
import time

from checks import check, fails, run, say

SECTOR = 512
MIB = 1 << 20
WRITABLE = ("writeback", "direct", "sync")


def name_of(disk_id):
    for path in glob.glob("/sys/block/vd*/serial"):
        with open(path) as file:
            if file.read() == disk_id:
                return path.split("/")[3]
    raise LookupError(f"no disk has the id {disk_id}")


def device(disk_id):
    return f"/dev/{name_of(disk_id)}"


def attribute(disk_id, name):
    with open(f"/sys/block/{name_of(disk_id)}/{name}") as file:
        return int(file.read())


def tool(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}"
    return done.stdout


def aligned(length, offset=0):
    """Memory at this offset of a page."""
    return memoryview(mmap.mmap(-1, length + offset + 4096))[offset:offset + length]


def open_direct(disk_id, flags=os.O_RDWR):
    return os.open(device(disk_id), flags | os.O_DIRECT)


@check("ids, sizes, read-only flags and block sizes are what was asked for")
def _():
    assert attribute("readonly", "ro") == 1
    for disk in WRITABLE:
        assert attribute(disk, "ro") == 0
        assert attribute(disk, "size") * SECTOR == 24 * MIB
    # The file of this one is on a disk with blocks of 4 KiB.
    sizes = [attribute(disk, "queue/logical_block_size") for disk in ("writeback", "direct", "sync")]
    assert sizes == [512, 4096, 512], sizes


@check("fio verifies random writes of many sizes to three disks at once")
def _():
    jobs = []
    for disk in WRITABLE:
        jobs += [f"--name={disk}", f"--filename={device(disk)}"]
    tool("fio", "--ioengine=libaio", "--direct=1", "--rw=randwrite", "--bsrange=4k-128k", "--iodepth=16", "--size=4M",
         "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--fsync=32", "--randseed=1", *jobs)


@check("unaligned buffers arrive at their place, whatever the mode")
def _():
    for disk in WRITABLE:
        fd = open_direct(disk)
        out, back = aligned(64 * 1024, 512), aligned(64 * 1024, 1536)
        for index in range(0, len(out), 256):
            out[index:index + 256] = bytes(range(256))
        assert os.pwritev(fd, [out[:4096], out[4096:]], 16 * MIB) == len(out)
        assert os.preadv(fd, [back], 16 * MIB) == len(back)
        assert back == out, disk
        os.close(fd)


@check("flush")
def _():
    for disk in WRITABLE:
        fd = os.open(device(disk), os.O_RDWR)
        os.pwrite(fd, b"flushed " + disk.encode(), 20 * MIB)
        os.fsync(fd)
        os.close(fd)


@check("discarded and zeroed ranges read as zeros, and nothing beside them")
def _():
    for disk in WRITABLE:
        path = device(disk)
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, b"\xaa" * MIB, 17 * MIB)
        os.pwrite(fd, b"\xaa" * MIB, 18 * MIB)
        os.fsync(fd)
        tool("blkdiscard", "--offset", str(17 * MIB + 65536), "--length", str(MIB // 2), path)
        tool("blkdiscard", "--zeroout", "--offset", str(18 * MIB + 65536), "--length", str(MIB // 2), path)
        os.close(fd)
        fd = open_direct(disk)
        for start in (17 * MIB, 18 * MIB):
            whole = aligned(MIB)
            assert os.preadv(fd, [whole], start) == MIB
            expected = b"\xaa" * 65536 + bytes(MIB // 2) + b"\xaa" * (MIB // 2 - 65536)
            assert whole == expected, f"{disk} at {start}"
        os.close(fd)


@check("a read-only disk is read, and refuses writes and discards")
def _():
    path = device("readonly")
    fd = os.open(path, os.O_RDONLY)
    assert os.pread(fd, 4096, 0) == b"read only\n" * 409 + b"read o"
    os.close(fd)
    fd = os.open(path, os.O_RDWR | os.O_SYNC)
    fails((errno.EPERM,), os.pwrite, fd, bytes(4096), 0)
    os.close(fd)
    for options in ([], ["--zeroout"]):
        assert subprocess.run(["blkdiscard", *options, path], stderr=subprocess.DEVNULL).returncode != 0


@check("ext4 is made, used and clean")
def _():
    path = device("sync")
    tool("mkfs.ext4", "-q", "-E", "nodiscard", path)
    os.makedirs("/tmp/ext4", exist_ok=True)
    tool("mount", path, "/tmp/ext4")
    for index in range(100):
        with open(f"/tmp/ext4/file{index}", "wb") as file:
            file.write(os.urandom(1000) * (index + 1))
    for index in range(0, 100, 2):
        os.unlink(f"/tmp/ext4/file{index}")
    tool("fstrim", "/tmp/ext4")
    tool("umount", "/tmp/ext4")
    tool("e2fsck", "-fn", path)


@check("a disk whose host is full fails writes, and goes on")
def _():
    fd = open_direct("full")
    piece = aligned(256 * 1024)
    piece[:] = b"x" * len(piece)
    written = 0
    try:
        for start in range(0, 8 * MIB, len(piece)):
            written += os.pwritev(fd, [piece], start)
    except OSError as error:
        assert error.errno in (errno.EIO, errno.ENOSPC), error
    assert 0 < written < 8 * MIB, written
    assert os.preadv(fd, [piece], 0) == len(piece)
    assert piece == b"x" * len(piece)
    # What is there already takes no more space.
    assert os.pwritev(fd, [piece], 0) == len(piece)
    os.close(fd)


@check("reads of what the host has truncated fail, the rest is still there")
def _():
    fd = open_direct("short")
    sector = aligned(4096)
    assert os.preadv(fd, [sector], 2 * MIB) == 4096
    say("READY to be truncated")
    for _ in range(600):
        try:
            os.preadv(fd, [sector], 2 * MIB)
        except OSError as error:
            assert error.errno == errno.EIO, error
            break
        time.sleep(0.05)
    else:
        raise AssertionError("reads go on")
    assert os.preadv(fd, [sector], 0) == 4096
    os.close(fd)


run()
