/* Faults that the HTTP layer answers itself, before or beside the S3 engine. Clients parse XML, so the answers are S3's
 * error documents. Thread: any. */
#ifndef GATEWAY_HTTP_ERROR_H
#define GATEWAY_HTTP_ERROR_H

#include "base/buf.h"
#include "base/str.h"

enum gw_fault {
    GW_FAULT_NONE,
    GW_FAULT_SYNTAX,
    GW_FAULT_LINE_END,
    GW_FAULT_HEADER_FOLD,
    GW_FAULT_METHOD,
    GW_FAULT_TARGET,
    GW_FAULT_HOST,
    GW_FAULT_LENGTH,
    GW_FAULT_FRAMING,
    GW_FAULT_CODING,
    GW_FAULT_HEAD_TOO_LARGE,
    GW_FAULT_TARGET_TOO_LONG,
    GW_FAULT_VERSION,
    GW_FAULT_CHUNKED,
    GW_FAULT_INCOMPLETE,
    GW_FAULT_TIMEOUT,
    GW_FAULT_BUSY,
    GW_FAULT_FOREIGN, /* not from a trusted proxy, though only those may ask */
    GW_FAULT_COUNT
};

struct gw_fault_row {
    int status;
    const char *code, *message;
};

/* The row of a fault other than GW_FAULT_NONE. */
const struct gw_fault_row *gw_fault_row(enum gw_fault f);
/* S3's error document. */
void gw_fault_document(enum gw_fault f, struct str request_id, struct str host_id, struct buf *out);

#endif
