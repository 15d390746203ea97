/* What POSIX users can put into a volume's way. */
#include "tests/contract/dir_volume_contract.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/fd.h"

/* A bucket, and beside it a directory that nothing may reach from the bucket. */
static struct vfs_dir *open_bucket(struct volume_fixture *x)
{
    struct vfs_dir *d = NULL;
    put(x->root, "bucket/inside/f", "inside");
    put(x->root, "outside/f", "secret");
    assert_ok(vfs_make_explicit(x->root, STR("outside"), NULL));
    assert_ok(vfs_dir_open(x->root, STR("bucket"), NULL, &d));
    return d;
}

static void links_inside_are_followed(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = open_bucket(x);
    assert_ok(symlink("inside/f", posix(x, "bucket/link")));
    assert_ok(symlink("inside", posix(x, "bucket/dirlink")));
    assert_ok(symlink("../inside/f", posix(x, "bucket/inside/up")));
    assert_ok(symlink("nowhere", posix(x, "bucket/dangling")));
    assert_ok(symlink("loop", posix(x, "bucket/loop")));
    assert_content(d, "link", "inside");
    assert_content(d, "dirlink/f", "inside");
    assert_content(d, "inside/up", "inside");
    assert_listing(d, "", "", "dangling:l dirlink:l inside:d link:f loop:l ");
    assert_listing(d, "inside", "", "f:f up:f ");
    assert_listing(d, "dirlink", "", "f:f up:f ");
    struct vfs_attr attr;
    assert_fails(vfs_lookup(d, STR("loop"), NULL, &attr), ELOOP);
    assert_missing(d, "dangling");
    assert_fails(try_put(d, "dangling/f", STR("x"), &REPLACE), ENOTDIR);
    /* Removing and replacing act on the name. */
    assert_ok(vfs_unlink(d, STR("dirlink"), NULL, NULL));
    put(d, "link", "own");
    assert_content(d, "link", "own");
    assert_content(d, "inside/f", "inside");
    struct vfs_publish same = if_version(version_of(d, "inside/up"));
    assert_ok(try_put(d, "inside/up", STR("replaced"), &same));
    assert_content(d, "inside/f", "inside");
}

static void links_outwards_lead_nowhere(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_dir_closep) struct vfs_dir *d = open_bucket(x);
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    struct vfs_attr attr;
    struct vfs_file *f;
    struct vfs_dirent e;
    char text[32];
    assert_ok(symlink("../outside", posix(x, "bucket/up")));
    assert_ok(symlink(posix(x, "outside"), posix(x, "bucket/absolute")));
    assert_ok(symlink("../outside/f", posix(x, "bucket/upfile")));
    assert_ok(symlink("/proc/self/fd", posix(x, "bucket/magic")));
    static const char *const files[] = {"up/f", "absolute/f", "upfile", "magic/0"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        assert_fails((int)try_get(d, files[i], text, sizeof(text)), EXDEV);
        assert_fails(vfs_lookup(d, str_z(files[i]), NULL, &attr), EXDEV);
    }
    assert_fails(vfs_stage(d, STR("up/new"), NULL, 0, &f), EXDEV);
    assert_fails(vfs_stage(d, STR("up/x/new"), NULL, 0, &f), EXDEV);
    assert_fails(vfs_unlink(d, STR("up/f"), NULL, NULL), EXDEV);
    assert_fails(vfs_rename(d, STR("up/f"), STR("got"), NULL, 0), EXDEV);
    assert_fails(vfs_rename(d, STR("inside/f"), STR("up/f"), NULL, 0), EXDEV);
    assert_fails(vfs_mkdir(d, STR("up/d"), NULL, 0), EXDEV);
    assert_fails(vfs_rmdir(d, STR("up/d"), NULL), EXDEV);
    assert_fails(vfs_scan_open(d, STR("up"), NULL, STR_EMPTY, &s), EXDEV);
    assert_listing(d, "", "", "absolute:l inside:d magic:l up:l upfile:l ");
    assert_ok(vfs_scan_open(d, STR_EMPTY, NULL, STR("upfile"), &s));
    assert_int_equal(vfs_scan_next(s, &e), 1);
    assert_ok(vfs_scan_stat(s, &attr, "user.t", NULL)); /* the link itself */
    assert_int_equal(attr.type, VFS_SYMLINK);
    put(d, "upfile", "mine"); /* takes the name, not the file behind it */
    assert_content(d, "upfile", "mine");
    assert_content(x->root, "outside/f", "secret");
    assert_listing(x->root, "outside", "", "f:f ");
}

/* A directory component that is a link to the outside every other moment. */

struct swap {
    struct volume_fixture *x;
    struct vfs_dir *bucket;
    atomic_bool stop;
    size_t rounds;
};

static void flip(struct swap *w)
{
    char dir[PATH_MAX], aside[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s/bucket/c", w->x->kind->posix_root);
    snprintf(aside, sizeof(aside), "%s/bucket/link", w->x->kind->posix_root);
    for (size_t i = 0; i < w->rounds; i++)
        CHECK(renameat2(AT_FDCWD, dir, AT_FDCWD, aside, RENAME_EXCHANGE) == 0);
    atomic_store(&w->stop, true);
}

static void attack(struct swap *w, size_t i)
{
    char text[32];
    struct vfs_attr attr;
    ssize_t got = try_get(w->bucket, "c/f", text, sizeof(text));
    CHECK(got == -EXDEV || got == -EBUSY || (got == 6 && strcmp(text, "inside") == 0));
    int r = try_put(w->bucket, "c/g", STR("attack"), i % 2 ? &REPLACE : &CREATE);
    CHECK(r == 0 || r == -EXDEV || r == -EBUSY || r == -EEXIST);
    r = vfs_unlink(w->bucket, STR("c/g"), NULL, NULL);
    CHECK(r == 0 || r == -EXDEV || r == -EBUSY || r == -ENOENT);
    r = vfs_mkdir(w->bucket, STR("c/d"), NULL, 0);
    CHECK(r == 0 || r == -EXDEV || r == -EBUSY || r == -EEXIST);
    r = vfs_lookup(w->bucket, STR("c/f"), NULL, &attr);
    CHECK(r == -EXDEV || r == -EBUSY || (r == 0 && attr.size == 6));
}

static void flip_or_attack(void *arg, size_t index)
{
    struct swap *w = arg;
    if (index == 0)
        flip(w);
    else
        for (size_t i = 0; !atomic_load(&w->stop); i++)
            attack(w, i);
}

static void swapped_links_never_open_the_outside(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct swap w = {.x = x, .rounds = ROUNDS(100000, 5000)};
    put(x->root, "bucket/c/f", "inside");
    put(x->root, "outside/f", "a secret that is longer");
    assert_ok(symlink("../outside", posix(x, "bucket/link")));
    assert_ok(vfs_dir_open(x->root, STR("bucket"), NULL, &w.bucket));
    crew_join(crew_start(3, flip_or_attack, &w));
    vfs_dir_close(w.bucket);
    assert_content(x->root, "outside/f", "a secret that is longer");
    assert_listing(x->root, "outside", "", "f:f ");
}

/* Nodes that are neither files nor directories */

static void make_specials(struct volume_fixture *x)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_ok(mkfifo(posix(x, "d/fifo"), 0666));
    assert_ok(mknod(posix(x, "d/device"), S_IFCHR | 0666, makedev(1, 3)));
    assert_ok(symlink("fifo", posix(x, "d/tofifo")));
    CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", posix(x, "d/socket"));
    assert_ok(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
}

static void specials_are_never_opened(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(vfs_scan_closep) struct vfs_scan *s = NULL;
    assert_ok(vfs_mkdir(x->root, STR("d"), NULL, 0));
    make_specials(x);
    static const char *const names[] = {"d/device", "d/fifo", "d/socket", "d/tofifo"};
    static const unsigned flags[] = {VFS_OPEN_READ, VFS_OPEN_WRITE, VFS_OPEN_DIRECTORY,
                                     VFS_OPEN_WRITE | VFS_OPEN_CREATE};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
            struct vfs_file *f;
            assert_fails(vfs_open(x->root, str_z(names[i]), NULL, flags[k], &f, NULL), ENXIO);
        }
    }
    assert_listing(x->root, "d", "", "device:o fifo:o socket:o tofifo:l ");
    assert_ok(vfs_scan_open(x->root, STR("d"), NULL, STR_EMPTY, &s));
    struct vfs_dirent e;
    struct vfs_attr attr;
    CLEANUP(buf_done) struct buf value = buf_make(16);
    while (vfs_scan_next(s, &e) == 1)
        assert_ok(vfs_scan_stat(s, &attr, "user.t", &value));
    struct vfs_publish same = if_version(version_of(x->root, "d/fifo"));
    assert_fails(try_put(x->root, "d/fifo", STR("x"), &same), ENXIO);
    put(x->root, "d/fifo", "a file now"); /* the name is replaced */
    assert_content(x->root, "d/fifo", "a file now");
}

/* A file that becomes a FIFO between looking and opening must not stop a worker. */

static void flip_fifo(void *arg, size_t index)
{
    struct swap *w = arg;
    char text[32];
    if (index == 0) {
        char file[PATH_MAX], fifo[PATH_MAX];
        snprintf(file, sizeof(file), "%s/file", w->x->kind->posix_root);
        snprintf(fifo, sizeof(fifo), "%s/fifo", w->x->kind->posix_root);
        for (size_t i = 0; i < w->rounds; i++)
            CHECK(renameat2(AT_FDCWD, file, AT_FDCWD, fifo, RENAME_EXCHANGE) == 0);
        atomic_store(&w->stop, true);
    }
    while (!atomic_load(&w->stop)) {
        ssize_t got = try_get(w->x->root, "file", text, sizeof(text));
        CHECK(got == -ENXIO || got == 4);
    }
}

static void swapped_fifos_never_hang(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    struct swap w = {.x = x, .rounds = ROUNDS(50000, 3000)};
    put(x->root, "file", "file");
    assert_ok(mkfifo(posix(x, "fifo"), 0666));
    crew_join(crew_start(3, flip_fifo, &w));
}

static void hard_links_are_replaced_not_written_through(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    CLEANUP(fd_closep) int fd = open(posix(x, "original"), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    char text[16] = {0};
    assert_ok(fd_pwrite_all(fd, "original", 8, 0));
    assert_ok(link(posix(x, "original"), posix(x, "name")));
    put(x->root, "name", "replacement");
    assert_content(x->root, "original", "original");
    assert_content(x->root, "name", "replacement");
    struct vfs_publish same = if_version(version_of(x->root, "original"));
    assert_ok(try_put(x->root, "original", STR("second"), &same));
    assert_int_equal(fd_pread_full(fd, text, sizeof(text), 0), 8);
    assert_string_equal(text, "original");
}

static void temporary_names_are_hidden_and_old_ones_removed(void **state)
{
    struct volume_fixture *x = fixture_of(state);
    put(x->root, "d/f", "x");
    const char *fresh = ".sluice-0123456789abcdefghijklmn", *users = ".sluice-mine";
    char path[64];
    snprintf(path, sizeof(path), "d/%.31s", fresh);
    assert_ok(mknod(posix(x, path), S_IFREG | 0644, 0));
    snprintf(path, sizeof(path), "d/%s", users);
    assert_ok(mknod(posix(x, path), S_IFREG | 0644, 0));
    assert_listing(x->root, "d", "", "f:f ");
    assert_ok(access(posix(x, path), F_OK)); /* not a name of ours: hidden, and left alone */
    snprintf(path, sizeof(path), "d/%.31s", fresh);
    assert_ok(access(posix(x, path), F_OK)); /* may be somebody's work in progress */
    clock_set_wall_for_test(clock_wall_ns() + 2 * 3600 * 1000000000ll);
    CLEANUP(fd_closep) int fd = open(posix(x, path), O_RDONLY | O_CLOEXEC);
    assert_ok(flock(fd, LOCK_SH));
    assert_listing(x->root, "d", "", "f:f ");
    assert_ok(access(posix(x, path), F_OK)); /* is somebody's */
    fd_closep(&fd);
    assert_listing(x->root, "d", "", "f:f ");
    assert_int_equal(access(posix(x, path), F_OK), -1);
    clock_set_wall_for_test(0);
    snprintf(path, sizeof(path), "d/%s", users);
    assert_ok(access(posix(x, path), F_OK));
}

int dir_security_contract(const struct volume_kind *k)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(links_inside_are_followed, k),
        VOLUME_TEST(links_outwards_lead_nowhere, k),
        VOLUME_TEST(swapped_links_never_open_the_outside, k),
        VOLUME_TEST(specials_are_never_opened, k),
        VOLUME_TEST(swapped_fifos_never_hang, k),
        VOLUME_TEST(hard_links_are_replaced_not_written_through, k),
        VOLUME_TEST(temporary_names_are_hidden_and_old_ones_removed, k),
    };
    return cmocka_run_group_tests_name("security", tests, NULL, NULL);
}
