#include "gateway/http_error.h"

#include "base/check.h"
#include "base/compiler.h"

static const struct gw_fault_row rows[GW_FAULT_COUNT] = {
    [GW_FAULT_SYNTAX] = {400, "BadRequest", "The request line or a header could not be parsed."},
    [GW_FAULT_LINE_END] = {400, "BadRequest", "Every line of the request head must end in CR LF."},
    [GW_FAULT_HEADER_FOLD] = {400, "BadRequest", "A header value may not continue on the next line."},
    [GW_FAULT_METHOD] = {400, "BadRequest", "The request method is not a token."},
    [GW_FAULT_TARGET] = {400, "InvalidURI", "Couldn't parse the specified URI."},
    [GW_FAULT_HOST] = {400, "BadRequest", "Exactly one valid Host header is required."},
    [GW_FAULT_LENGTH] = {400, "BadRequest", "Content-Length must be given once, as a decimal number."},
    [GW_FAULT_FRAMING] = {400, "BadRequest", "Content-Length and Transfer-Encoding exclude each other."},
    [GW_FAULT_CODING] = {501, "NotImplemented",
                         "The only transfer coding is chunked, given once, with HTTP/1.1."},
    [GW_FAULT_HEAD_TOO_LARGE] = {431, "RequestHeaderSectionTooLarge",
                                 "Your request header section exceeds the maximum allowed size."},
    [GW_FAULT_TARGET_TOO_LONG] = {414, "URITooLong", "The request target exceeds the maximum allowed size."},
    [GW_FAULT_VERSION] = {505, "HTTPVersionNotSupported", "This server speaks HTTP/1.1 and HTTP/1.0."},
    [GW_FAULT_CHUNKED] = {400, "BadRequest", "The chunked transfer coding of the body is malformed."},
    [GW_FAULT_INCOMPLETE] = {400, "IncompleteBody",
                             "You did not provide the number of bytes specified by the Content-Length HTTP header."},
    [GW_FAULT_TIMEOUT] = {400, "RequestTimeout",
                          "Your socket connection to the server was not read from or written to within the timeout "
                          "period. Idle connections will be closed."},
    [GW_FAULT_FOREIGN] = {403, "AccessDenied", "This server takes requests through its proxies only."},
    [GW_FAULT_BUSY] = {503, "SlowDown", "Please reduce your request rate."},
};

const struct gw_fault_row *gw_fault_row(enum gw_fault f)
{
    CHECK(f > GW_FAULT_NONE && f < GW_FAULT_COUNT);
    return &rows[f];
}

void gw_fault_document(enum gw_fault f, struct str request_id, struct str host_id, struct buf *out)
{
    const struct gw_fault_row *row = gw_fault_row(f);
    buf_addf(out,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message>"
             "<RequestId>%.*s</RequestId><HostId>%.*s</HostId></Error>",
             row->code, row->message, STR_ARG(request_id), STR_ARG(host_id));
}
