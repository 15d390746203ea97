/* What keepers of a mount leave to each other. */
#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/mount.h"

static int text_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
    return fd;
}

static int read_text(const char *text, struct gw_mount_state *out)
{
    CLEANUP(fd_closep) int fd = text_of(text);
    return gw_mount_state_read(fd, out);
}

static void comes_back(void **state)
{
    (void)state;
    struct gw_mount_state s = {
        .told = {.session = 12, .generation = 3, .init_size = 4, .init = {'\0', 'a', '\n', '\xff'}},
        .devices = {.fds = {0, 1, 2}, .count = 3},
        .unsaved = {.fds = {1}, .count = 1},
    };
    CLEANUP(fd_closep) int fd = gw_mount_state_write(&s);
    assert_true(fd >= 0);
    struct gw_mount_state out;
    assert_int_equal(gw_mount_state_read(fd, &out), 0);
    assert_int_equal(out.told.session, 12);
    assert_int_equal(out.told.generation, 3);
    assert_int_equal(out.told.init_size, 4);
    assert_memory_equal(out.told.init, s.told.init, 4);
    assert_int_equal(out.devices.count, 3);
    assert_int_equal(out.devices.fds[2], 2);
    assert_int_equal(out.unsaved.count, 1);
    assert_int_equal(out.unsaved.fds[0], 1);
}

static void the_largest_fits(void **state)
{
    (void)state;
    struct gw_mount_state s = {.told = {.session = UINT64_MAX, .generation = UINT32_MAX, .init_size = GW_MOUNT_INIT_MAX},
                               .devices = {.count = GW_MOUNT_DEVICES_MAX}};
    for (size_t i = 0; i < GW_MOUNT_DEVICES_MAX; i++)
        s.devices.fds[i] = INT32_MAX;
    CLEANUP(fd_closep) int fd = gw_mount_state_write(&s);
    assert_true(fd >= 0);
}

static void later_versions_may_say_more(void **state)
{
    (void)state;
    struct gw_mount_state out;
    assert_int_equal(read_text("sluice-mount 1\ncolour blue\ninit 00\n\ndevices 0\nfast\n", &out), 0);
    assert_int_equal(out.told.session, 0); /* a read-only mount has none */
    assert_int_equal(out.unsaved.count, 0);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "sluice-mount 2\ninit 00\ndevices 0\n",
        "sluice-mount 1\ndevices 0\n",
        "sluice-mount 1\ninit 00\n",
        "sluice-mount 1\ninit 0\ndevices 0\n",
        "sluice-mount 1\ninit xx\ndevices 0\n",
        "sluice-mount 1\ninit 00\ndevices 0 x\n",
        "sluice-mount 1\ninit 00\ndevices 1048000\n", /* not open */
        "sluice-mount 1\ninit 00\ndevices 0\nunsaved 0 1\n",
        "sluice-mount 1\ninit 00\ndevices 0\nsession -1\n",
    };
    struct gw_mount_state out = {.told = {.session = 77}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_int_equal(read_text(texts[i], &out), -EPROTO);
    assert_int_equal(out.told.session, 77);
}

static void inherits(void **state)
{
    (void)state;
    struct gw_mount_state s = {.devices = {.fds = {text_of("a")}, .count = 1}, .unsaved = {.fds = {text_of("b")}, .count = 1}};
    assert_int_equal(gw_mount_state_set_inherited(&s, true), 0);
    assert_int_equal(fcntl(s.devices.fds[0], F_GETFD), 0);
    assert_int_equal(fcntl(s.unsaved.fds[0], F_GETFD), 0);
    assert_int_equal(gw_mount_state_set_inherited(&s, false), 0);
    assert_int_equal(fcntl(s.devices.fds[0], F_GETFD), FD_CLOEXEC);
    gw_mount_close_devices(&s.devices);
    gw_mount_close_devices(&s.unsaved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back), cmocka_unit_test(the_largest_fits), cmocka_unit_test(later_versions_may_say_more),
        cmocka_unit_test(refuses),    cmocka_unit_test(inherits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
