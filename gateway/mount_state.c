/* What a keeper leaves to the program that takes its place: lines of text in memory that outlives it, descriptors by number. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/fd.h"
#include "gateway/mount.h"

/* Another number: a line, or what a descriptor holds (vfs/fuse/unsaved.c), means something else now. Lines that are not known are
 * passed over. */
#define TITLE "sluice-mount 1"
#define TEXT_BYTES_MAX 4096

static void add_descriptors(struct buf *b, const char *name, const struct gw_mount_devices *d)
{
    buf_addz(b, name);
    for (size_t i = 0; i < d->count; i++)
        buf_addf(b, " %d", d->fds[i]);
    buf_addc(b, '\n');
}

int gw_mount_state_write(const struct gw_mount_state *s)
{
    char bytes[TEXT_BYTES_MAX];
    struct buf text = buf_over(bytes, sizeof(bytes));
    buf_addf(&text, TITLE "\nsession %llu\ngeneration %u\ninit ", (unsigned long long)s->told.session, s->told.generation);
    buf_add_hex(&text, s->told.init, s->told.init_size);
    buf_addc(&text, '\n');
    add_descriptors(&text, "devices", &s->devices);
    add_descriptors(&text, "unsaved", &s->unsaved);
    if (text.failed)
        return -E2BIG;
    CLEANUP(fd_closep) int fd = memfd_create("sluice-mount", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fd_write_all(fd, text.ptr, text.len);
    return r < 0 ? r : fd_take(&fd);
}

static bool take_descriptors(struct str words, struct gw_mount_devices *out)
{
    struct str word;
    uint64_t fd;
    out->count = 0;
    while (words.len > 0 && str_split(&words, ' ', &word)) {
        if (out->count == GW_MOUNT_DEVICES_MAX || !str_parse_u64_max(word, INT32_MAX, &fd) || fcntl((int)fd, F_GETFD) < 0)
            return false;
        out->fds[out->count++] = (int)fd;
    }
    return true;
}

static bool take_init(struct str hex, struct gw_mount_message *out)
{
    out->init_size = (uint32_t)(hex.len / 2);
    return hex.len % 2 == 0 && out->init_size <= sizeof(out->init) && hex_decode(hex, out->init, out->init_size);
}

static bool take_line(struct str line, struct gw_mount_state *out)
{
    struct str name;
    uint64_t generation;
    if (!str_split(&line, ' ', &name))
        return true;
    if (str_is(name, "session"))
        return str_parse_u64(line, &out->told.session);
    if (str_is(name, "init"))
        return take_init(line, &out->told);
    if (str_is(name, "devices"))
        return take_descriptors(line, &out->devices);
    if (str_is(name, "unsaved"))
        return take_descriptors(line, &out->unsaved);
    if (!str_is(name, "generation"))
        return true;
    bool ok = str_parse_u64_max(line, UINT32_MAX, &generation);
    out->told.generation = ok ? (uint32_t)generation : 0;
    return ok;
}

int gw_mount_state_read(int fd, struct gw_mount_state *out)
{
    char bytes[TEXT_BYTES_MAX];
    ssize_t n = fd_pread_full(fd, bytes, sizeof(bytes), 0);
    if (n < 0)
        return (int)n;
    struct gw_mount_state s = {0};
    struct str rest = str_of(bytes, (size_t)n), line;
    if (!str_split(&rest, '\n', &line) || !str_is(line, TITLE))
        return -EPROTO;
    while (str_split(&rest, '\n', &line)) {
        if (!take_line(line, &s))
            return -EPROTO;
    }
    if (s.devices.count == 0 || s.unsaved.count > 1 || s.told.init_size == 0)
        return -EPROTO;
    *out = s;
    return 0;
}

static int set_inherited(const struct gw_mount_devices *d, bool inherited)
{
    for (size_t i = 0; i < d->count; i++) {
        if (fcntl(d->fds[i], F_SETFD, inherited ? 0 : FD_CLOEXEC) < 0)
            return -errno;
    }
    return 0;
}

int gw_mount_state_set_inherited(const struct gw_mount_state *s, bool inherited)
{
    int r = set_inherited(&s->devices, inherited);
    return r < 0 ? r : set_inherited(&s->unsaved, inherited);
}
