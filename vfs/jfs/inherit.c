/* A gateway that is killed leaves a session in the volume's metadata, with the locks of the requests that ran, for as long as a minute. The
 * next one with the same state folder need not wait for that: what the file there says of the session that it kept alive (base/alive.h) is
 * enough to end it.
 *
 * What must not happen is that a living session is ended. The file's lock tells only whether a process on the same kernel lives, and only
 * of the file itself: hence the kernel's boot id, and the file's own identity, without which a copy of the state folder would pass for a
 * dead process's. The session is told by its whole record, since after a restore of the database its number may be another's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "vfs/jfs/jfs_internal.h"
#include "vfs/meta/settings.h"

#define NAME_PREFIX "session."
#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define RECORD_MAX (LIMIT_SETTINGS_BYTES + 1024)

/* The lines in which the files of two processes differ unless the lock of one speaks for the other. */
static int add_identity(int fd, struct buf *out)
{
    struct stat st;
    CLEANUP(buf_done) struct buf boot = buf_make(64);
    int rc = fd_read_file(AT_FDCWD, BOOT_ID, &boot);
    if (rc == 0 && fstat(fd, &st) < 0)
        rc = -errno;
    if (rc == 0)
        buf_addf(out, "sluice session 1\nboot %.*sfile %llu:%llu\n", STR_ARG(buf_str(&boot)), (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino);
    return rc;
}

/* "NAME VALUE\n" off the text. */
static bool take_line(struct str *rest, const char *name, struct str *out)
{
    struct str line, word;
    if (!rest->ptr || !str_split(rest, '\n', &line) || !rest->ptr || !str_split(&line, ' ', &word) || !line.ptr)
        return false;
    *out = line;
    return str_is(word, name);
}

struct heir {
    struct meta *meta;
    struct str uuid;
};

/* One that says nothing, or nothing that could ever be used, goes. */
static bool take_dead(void *arg, int fd)
{
    const struct heir *heir = arg;
    struct str volume, number, info;
    uint64_t sid;
    CLEANUP(buf_done) struct buf identity = buf_make(RECORD_MAX);
    CLEANUP(buf_done) struct buf text = buf_make(RECORD_MAX);
    ssize_t size = fd_pread_full(fd, buf_reserve(&text, RECORD_MAX - 1), RECORD_MAX - 1, 0);
    if (size < 0 || add_identity(fd, &identity) < 0)
        return false;
    buf_extend(&text, (size_t)size);
    struct str rest = str_from(buf_str(&text), identity.len < text.len ? identity.len : text.len);
    if (!str_starts(buf_str(&text), buf_str(&identity)) || !take_line(&rest, "volume", &volume) ||
        !take_line(&rest, "sid", &number) || !take_line(&rest, "info", &info) || !str_parse_u64(number, &sid))
        return true;
    if (!str_eq(volume, heir->uuid))
        return false; /* another gateway's to end */
    int rc = meta_session_end(heir->meta, sid, info);
    if (rc > 0)
        log_info("session_ended", "sid=%llu info=%.*s", (unsigned long long)sid, STR_ARG(info));
    else if (rc < 0)
        log_warn("session_not_ended", "sid=%llu errno=%d", (unsigned long long)sid, -rc);
    return rc >= 0;
}

static int leave_word(struct jfs_volume *v, int state_fd, struct str uuid)
{
    CLEANUP(buf_done) struct buf text = buf_make(RECORD_MAX);
    int rc = alive_start(state_fd, NAME_PREFIX, &v->alive);
    if (rc == 0)
        rc = add_identity(v->alive.fd, &text);
    if (rc < 0)
        return rc;
    buf_addf(&text, "volume %.*s\nsid %llu\ninfo %.*s\n", STR_ARG(uuid), (unsigned long long)meta_session_id(v->meta),
             STR_ARG(meta_session_info(v->meta)));
    return text.failed ? -EFBIG : fd_pwrite_all(v->alive.fd, text.ptr, text.len, 0);
}

void jfs_inherit(struct vfs *base, const char *state_dir)
{
    struct jfs_volume *v = jfs_volume_of(base);
    CLEANUP(meta_settings_freep) struct meta_settings *settings = meta_settings_copy(v->meta);
    CLEANUP(fd_closep) int state_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = state_fd < 0 ? -errno : 0;
    if (rc == 0) {
        alive_each_dead(state_fd, NAME_PREFIX, take_dead, &(struct heir){v->meta, settings->uuid});
        rc = leave_word(v, state_fd, settings->uuid);
    }
    if (rc < 0)
        log_info("session_not_remembered", "errno=%d", -rc);
}
