/* What a long command shows while it runs: one line on standard error, ten times a second on a terminal, and every ten
 * seconds where nobody looks on (logs of CI and of containers). No colours. Signals that end the command (INT, TERM, HUP)
 * become a wish to the job (base/job.h), so that it ends in good order; the second one ends the process at once.
 * Thread: main; gw_progress_print: any. */
#ifndef GATEWAY_PROGRESS_H
#define GATEWAY_PROGRESS_H

#include "base/buf.h"
#include "base/job.h"

/* Exit code of a command that a signal ended early, as shells have it for SIGINT. */
#define GW_EXIT_INTERRUPTED 130

struct gw_progress_view;

struct gw_progress_options {
    const char *title;    /* the command's name; static */
    bool quiet;           /* nothing is shown; signals are looked after all the same */
    int fd;               /* where to; 0: standard error */
    uint32_t interval_ms; /* 0: by what fd is */
};

/* Starts to show the job. Comes before the job's threads: they must inherit that the signals are blocked. */
struct gw_progress_view *gw_progress_start(struct job *job, const struct gw_progress_options *options);
/* Text for standard output, while the line is out of its way. When it cannot be written (a full disk), the job is stopped. */
void gw_progress_print(struct gw_progress_view *v, struct str text);
/* Takes the line off and gives the signals back. The exit code so far: 0, GW_EXIT_INTERRUPTED, or 1 when
 * standard output failed. */
int gw_progress_end(struct gw_progress_view *v);

/* The line's parts, for tests. */
struct gw_progress_state {
    const char *title;
    const struct job *job;
    double rate; /* of the phase's unit in a second; 0: not known yet */
};
/* "fsck: checking blocks 120/480 (25%), 60/s, 0:06 left; 3 lost". */
void gw_progress_text(const struct gw_progress_state *s, struct buf *out);
/* "1.5 GiB"; below 1 KiB plain bytes. */
void gw_progress_bytes(struct buf *out, uint64_t bytes);

#endif
