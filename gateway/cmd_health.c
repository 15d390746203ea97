/* `sluice health`: asks a running gateway's admin listener, so that an image needs no other tool for its health check. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "gateway/args.h"
#include "gateway/commands.h"

#define HEALTH_TIMEOUT_S 3

static const char usage[] = "usage: sluice health [--admin ADDR:PORT]\n"
                            "Exit code 0 when the gateway is ready, 1 when it is not or cannot be reached.\n"
                            "ADDR:PORT as serve's --admin (SLUICE_ADMIN; 127.0.0.1:9001).\n";

static int connect_unix(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd < 0 ? -errno : fd;
}

static int connect_tcp(struct str text)
{
    ptrdiff_t colon = str_rfind_char(text, ':');
    char host[256], port[16];
    if (colon < 0 || (size_t)colon >= sizeof host || text.len - (size_t)colon > sizeof port)
        return -EINVAL;
    struct str name = str_first(text, (size_t)colon);
    if (str_starts(name, STR("[")) && str_ends(name, STR("]")))
        name = str_of(name.ptr + 1, name.len - 2);
    snprintf(host, sizeof host, "%.*s", STR_ARG(name));
    snprintf(port, sizeof port, "%.*s", STR_ARG(str_from(text, (size_t)colon + 1)));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host[0] ? host : "localhost", port, &hints, &found) != 0)
        return -EINVAL;
    int fd = -ECONNREFUSED;
    for (struct addrinfo *a = found; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            int rc = -errno;
            close(fd);
            fd = rc;
        }
    }
    freeaddrinfo(found);
    return fd;
}

/* The status of GET /readyz, or negative errno. */
static int ask(const char *admin)
{
    struct str text = str_z(admin);
    CLEANUP(fd_closep) int fd = str_starts(text, STR("unix:")) ? connect_unix(admin + 5) : connect_tcp(text);
    if (fd < 0)
        return fd;
    struct timeval timeout = {.tv_sec = HEALTH_TIMEOUT_S};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
        return -errno;
    struct str request = STR("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    int rc = fd_write_all(fd, request.ptr, request.len);
    if (rc < 0)
        return rc;
    char head[16];
    size_t have = 0;
    while (have < sizeof head - 1) {
        ssize_t n = read(fd, head + have, sizeof head - 1 - have);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        have += (size_t)n;
    }
    uint64_t status;
    return str_parse_u64(str_of(head + 9, 3), &status) ? (int)status : -EPROTO;
}

int gw_cmd_health(int argc, char **argv)
{
    const char *admin = getenv("SLUICE_ADMIN");
    if (!admin || !*admin)
        admin = "127.0.0.1:9001";
    struct gw_args args = gw_args_make(argc, argv);
    struct str word;
    for (enum gw_arg_kind kind; (kind = gw_args_next(&args, &word)) != GW_ARG_END;) {
        bool help = str_is(word, "help") || str_is(word, "h");
        if (kind != GW_ARG_OPTION || !str_is(word, "admin")) {
            fputs(usage, help ? stdout : stderr);
            return help ? 0 : 2;
        }
        admin = gw_args_value(&args);
        if (!admin)
            admin = "";
    }
    int status = ask(admin);
    if (status == 200)
        return 0;
    if (status < 0)
        fprintf(stderr, "sluice: cannot ask %s: %s\n", admin, strerror(-status));
    else
        fprintf(stderr, "sluice: not ready (%d)\n", status);
    return 1;
}
