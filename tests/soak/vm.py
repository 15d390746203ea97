#!/usr/bin/env python3
"""Runs COMMAND under another kernel: in a virtual machine that has this machine's files, in which nothing it changes stays.

    tests/soak/vm.py KERNEL [--accel kvm] [--memory 3G] [--timeout 900] COMMAND

KERNEL: a folder with what a kernel package holds, boot/ and lib/modules/. On Debian:

    apt-get download linux-image-6.1.0-57-amd64 && dpkg-deb -x linux-image-*.deb KERNEL

Needed besides: qemu-system-x86, busybox-static, cpio. What kernel TLS does to https (no other test needs a module):

    tests/soak/vm.py KERNEL 'build/dev/tests/unit/gateway_tls_test; build/venv/bin/python -m pytest -c tests/e2e/pytest.ini
        --basetemp build/dev/e2e tests/e2e/test_https.py; grep TxSw /proc/net/tls_stat'

Without --accel kvm the machine is emulated: ten times slower, and no figures of speed come from it. The last line says `rc=` and
COMMAND's exit code, which is ours."""

import argparse
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

MODULES = (
    "virtio_pci 9p 9pnet_virtio overlay fuse crc32c_generic ext4 loop tls aesni_intel ghash_clmulni_intel gcm ccm ctr chacha20poly1305 chacha_x86_64 "
    "poly1305_x86_64"
).split()
INIT = """#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /low /up /new
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for m in $(cat /order); do insmod /$m; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro root /low
mount -t tmpfs -o size=60% up /up
mkdir /up/upper /up/work
mount -t overlay -o lowerdir=/low,upperdir=/up/upper,workdir=/up/work overlay /new
for d in tmp run; do mount -t tmpfs $d /new/$d; done
for d in proc sys dev; do mount --move /$d /new/$d; done
mkdir -p /new/dev/shm /new/dev/pts
mount -t tmpfs shm /new/dev/shm
mount -t devpts devpts /new/dev/pts
ifconfig lo 127.0.0.1 up
exec switch_root /new /bin/bash -c "$(cat /command)"
"""
COMMAND = """export PATH={path} HOME=/root
ulimit -n 65536
cd {folder}
( {command}
) </dev/null
echo "rc=$?"
echo o > /proc/sysrq-trigger
while :; do :; done
"""


def modules(kernel):
    """Files of MODULES and what they depend on, in an order in which they can be loaded. Those built in have none."""
    files = {p.stem.replace("-", "_"): p for p in kernel.glob("lib/modules/**/*.ko")}
    order = []

    def add(name):
        if name not in files or files[name] in order:
            return
        depends = files[name].read_bytes().partition(b"\0depends=")[2].partition(b"\0")[0].decode()
        for other in filter(None, depends.split(",")):
            add(other.replace("-", "_"))
        order.append(files[name])

    for name in MODULES:
        add(name)
    return order


def make_initrd(kernel, command, folder):
    top = folder / "top"
    (top / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), top / "bin" / "busybox")
    order = modules(kernel)
    for path in order:
        shutil.copy(path, top)
    (top / "order").write_text("\n".join(p.name for p in order))
    (top / "command").write_text(COMMAND.format(path=shlex.quote(os.environ["PATH"]), folder=shlex.quote(os.getcwd()), command=command))
    (top / "init").write_text(INIT)
    (top / "init").chmod(0o755)
    with open(folder / "initrd", "wb") as out:
        subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, check=True, cwd=top, stdout=out)
    return folder / "initrd"


def boot(args, initrd):
    (image,) = args.kernel.glob("boot/vmlinuz-*")
    accel = ["-accel", "kvm", "-cpu", "host"] if args.accel == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max"]
    words = ["qemu-system-x86_64", *accel, "-m", args.memory, "-smp", "2", "-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"]
    words += ["-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap"]
    words += ["-kernel", image, "-initrd", initrd, "-append", "console=ttyS0 quiet panic=-1"]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kernel", type=pathlib.Path)
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--memory", default="3G")
    parser.add_argument("--timeout", type=int, default=900)
    parser.add_argument("command")
    args = parser.parse_args()
    said = b""
    with tempfile.TemporaryDirectory(prefix="sluice-vm-") as folder:
        machine = boot(args, make_initrd(args.kernel, args.command, pathlib.Path(folder)))
        timer = threading.Timer(args.timeout, machine.kill)
        timer.start()
        try:
            while piece := os.read(machine.stdout.fileno(), 4096):
                sys.stdout.buffer.write(piece)
                sys.stdout.flush()
                said = (said + piece)[-4096:]
        finally:
            timer.cancel()
            machine.kill()
            machine.wait()
    codes = re.findall(rb"^rc=(\d+)", said, re.MULTILINE)
    return int(codes[-1]) if codes else 1


if __name__ == "__main__":
    sys.exit(main())
