"""Where volumes are made: in a folder of the run's own, if wanted on a filesystem of its own."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

# A whole run needs some thirty of them, and three million inodes for listings.
IMAGE_BYTES = 40 * 2**30
INODE_RATIO = 8192


@contextlib.contextmanager
def scratch(parent, with_image):
    """A new folder in parent (None: where temporary files are), which goes with all that is in it."""
    if with_image and os.geteuid() != 0:
        raise SystemExit("--image: only root may mount")
    if parent:
        parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=parent))
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, folder)
        yield mounted_image(folder, undo) if with_image else folder


def call(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr}")
    return done.stdout.strip()


def mounted_image(folder, undo):
    """Whoever lives on an ext4 without a journal, which is slow once files were removed, or on something that others fill."""
    if shutil.disk_usage(folder).free < IMAGE_BYTES:
        raise SystemExit(f"--image: {folder} has no {IMAGE_BYTES >> 30} GiB to spare; --data names another place")
    image, mount = folder / "image", folder / "mnt"
    mount.mkdir()
    with open(image, "wb") as file:
        file.truncate(IMAGE_BYTES)
    call("mkfs.ext4", "-q", "-F", "-i", INODE_RATIO, image)
    # What a cell drops from the kernel's memory, to be cold, shall not be there once more as pages of the image: directly.
    device = call("losetup", "--direct-io=on", "--find", "--show", image)
    undo.callback(call, "losetup", "--detach", device)
    call("mount", device, mount)
    undo.callback(call, "umount", mount)
    return mount


def filesystem(path):
    """Its type and, of ext4, whether it has a journal: without one, and without syncing, other things are slow."""
    kind = call("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path)
    if kind != "ext4":
        return kind
    device = os.stat(path).st_dev
    name = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    return f"ext4 {'with' if any(pathlib.Path('/proc/fs/jbd2').glob(f'{name}-*')) else 'without'} a journal"
