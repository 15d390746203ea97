#include "gateway/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mutex.h"

/* What OpenSSL may take off the socket at once: a few records a system call. */
#define READ_BUFFER_BYTES (32 * 1024)

struct file_mark {
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

struct gw_tls {
    char *cert_path, *key_path;
    bool kernel;
    struct mutex lock;           /* guards what follows */
    SSL_CTX *ctx;                /* counted by OpenSSL: sessions hold it on */
    struct file_mark cert_mark, key_mark;
    int64_t not_after_s;
};

struct gw_tls_session {
    SSL *ssl;
};

/* Certificates */

static struct file_mark mark_of(const char *path)
{
    struct stat st;
    struct file_mark m = {0};
    if (stat(path, &st) == 0)
        m = (struct file_mark){st.st_ino, st.st_size, st.st_mtim};
    return m;
}

static bool mark_eq(const struct file_mark *a, const struct file_mark *b)
{
    return a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static int fail(struct buf *error, const char *what, const char *path)
{
    char reason[160];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    ERR_clear_error();
    buf_addf(error, "TLS: %s %s: %s", what, path, reason);
    return -EINVAL;
}

/* HTTP/1.1 is all we speak; a client that offers only others is told so instead of being sent what it cannot read. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A kernel that has "tls", or loads it for us, finds fault only with the socket, which is not connected. */
static bool kernel_has_tls(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool has = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0 || errno == ENOTCONN;
    close(fd);
    return has;
}

static void set_options(const struct gw_tls *t, SSL_CTX *ctx)
{
    if (t->kernel)
        SSL_CTX_set_options(ctx, SSL_OP_ENABLE_KTLS);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_default_read_buffer_len(ctx, READ_BUFFER_BYTES);
    /* Tickets resume sessions without memory here; a cache would add a lock and a bound to keep. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
}

static int64_t not_after(SSL_CTX *ctx)
{
    X509 *cert = SSL_CTX_get0_certificate(ctx);
    struct tm when;
    if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &when) != 1)
        return 0;
    return (int64_t)timegm(&when);
}

static int load(const struct gw_tls *t, SSL_CTX **out, struct buf *error)
{
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx != NULL); /* out of memory */
    set_options(t, ctx);
    int rc = 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, t->cert_path) != 1)
        rc = fail(error, "cannot use certificate", t->cert_path);
    else if (SSL_CTX_use_PrivateKey_file(ctx, t->key_path, SSL_FILETYPE_PEM) != 1)
        rc = fail(error, "cannot use key", t->key_path);
    else if (SSL_CTX_check_private_key(ctx) != 1)
        rc = fail(error, "the certificate does not belong to the key", t->key_path);
    if (rc < 0) {
        SSL_CTX_free(ctx);
        return rc;
    }
    *out = ctx;
    return 0;
}

int gw_tls_reload(struct gw_tls *t, struct buf *error)
{
    /* Before loading: a change meanwhile is then seen as one. A broken pair is not tried again until it changes. */
    struct file_mark cert = mark_of(t->cert_path), key = mark_of(t->key_path);
    SSL_CTX *ctx = NULL;
    int rc = load(t, &ctx, error);
    mutex_lock(&t->lock);
    t->cert_mark = cert;
    t->key_mark = key;
    SSL_CTX *old = NULL;
    if (rc == 0) {
        old = t->ctx;
        t->ctx = ctx;
        t->not_after_s = not_after(ctx);
    }
    mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return rc;
}

int gw_tls_new(const char *cert_path, const char *key_path, bool kernel, struct gw_tls **out, struct buf *error)
{
    struct gw_tls *t = calloc(1, sizeof(*t));
    CHECK(t != NULL); /* out of memory */
    t->cert_path = strdup(cert_path);
    t->key_path = strdup(key_path);
    CHECK(t->cert_path != NULL);
    CHECK(t->key_path != NULL);
    t->kernel = kernel && kernel_has_tls();
    mutex_init(&t->lock);
    int rc = gw_tls_reload(t, error);
    if (rc < 0) {
        gw_tls_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void gw_tls_free(struct gw_tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    mutex_done(&t->lock);
    free(t->cert_path);
    free(t->key_path);
    free(t);
}

bool gw_tls_changed(struct gw_tls *t)
{
    struct file_mark cert = mark_of(t->cert_path), key = mark_of(t->key_path);
    mutex_lock(&t->lock);
    bool same = mark_eq(&cert, &t->cert_mark) && mark_eq(&key, &t->key_mark);
    mutex_unlock(&t->lock);
    return !same;
}

int64_t gw_tls_not_after(struct gw_tls *t)
{
    mutex_lock(&t->lock);
    int64_t at = t->not_after_s;
    mutex_unlock(&t->lock);
    return at;
}

bool gw_tls_has_kernel(const struct gw_tls *t)
{
    return t->kernel;
}

/* Sessions */

/* Two BIOs for one descriptor, of which only the writing one can have the kernel's TLS. */
static void attach(SSL *ssl, int fd)
{
    BIO *in = BIO_new_fd(fd, BIO_NOCLOSE);
    CHECK(in != NULL); /* out of memory */
    SSL_set0_rbio(ssl, in);
    CHECK(SSL_set_wfd(ssl, fd) == 1);
}

struct gw_tls_session *gw_tls_session_new(struct gw_tls *t, int fd)
{
    struct gw_tls_session *s = calloc(1, sizeof(*s));
    CHECK(s != NULL); /* out of memory */
    mutex_lock(&t->lock);
    s->ssl = SSL_new(t->ctx);
    mutex_unlock(&t->lock);
    CHECK(s->ssl != NULL); /* out of memory */
    attach(s->ssl, fd);
    SSL_set_accept_state(s->ssl);
    return s;
}

void gw_tls_session_free(struct gw_tls_session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    free(s);
}

/* Of a call that returned <= 0. */
static ssize_t failure(struct gw_tls_session *s, int rc, int wanted, bool *out_other)
{
    int saved = errno;
    int error = SSL_get_error(s->ssl, rc);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        *out_other = error != wanted;
        return -EAGAIN;
    }
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    if (error == SSL_ERROR_SYSCALL)
        return saved != 0 ? -saved : -ECONNRESET;
    return -EPROTO;
}

bool gw_tls_kernel_sends(const struct gw_tls_session *s)
{
    return SSL_is_init_finished(s->ssl) && BIO_get_ktls_send(SSL_get_wbio(s->ssl));
}

static bool wants_new_key(const struct gw_tls_session *s)
{
    return SSL_get_key_update_type(s->ssl) != SSL_KEY_UPDATE_NONE;
}

ssize_t gw_tls_read(struct gw_tls_session *s, void *out, size_t size, bool *out_other)
{
    size_t done = 0;
    *out_other = false;
    /* A record is at most 16 KiB: several fill the caller's chunk. */
    while (done < size) {
        size_t got;
        errno = 0;
        int rc = SSL_read_ex(s->ssl, (char *)out + done, size - done, &got);
        if (rc == 1) {
            done += got;
            continue;
        }
        ssize_t error = failure(s, rc, SSL_ERROR_WANT_READ, out_other);
        if (wants_new_key(s) && gw_tls_kernel_sends(s))
            return -EPROTO;
        return done > 0 ? (ssize_t)done : error;
    }
    return (ssize_t)done;
}

ssize_t gw_tls_write(struct gw_tls_session *s, const void *bytes, size_t size, bool *out_other)
{
    size_t put;
    *out_other = false;
    errno = 0;
    int rc = SSL_write_ex(s->ssl, bytes, size, &put);
    if (rc == 1)
        return (ssize_t)put;
    ssize_t error = failure(s, rc, SSL_ERROR_WANT_WRITE, out_other);
    return error == 0 ? -EPIPE : error;
}

bool gw_tls_has_pending(const struct gw_tls_session *s)
{
    return SSL_has_pending(s->ssl) == 1;
}

void gw_tls_shutdown(struct gw_tls_session *s)
{
    if (SSL_is_init_finished(s->ssl))
        (void)SSL_shutdown(s->ssl); /* best effort: the peer may have gone */
    ERR_clear_error();
}

const char *gw_tls_version(const struct gw_tls_session *s)
{
    return SSL_get_version(s->ssl);
}
