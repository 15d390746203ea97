#include "s3api/body_aws_chunked.h"

/*   IN_HEADER ─line, size > 0─▶ IN_DATA ─last byte─▶ IN_DATA_END ─CR LF─▶ IN_HEADER
 *       └─────line, size = 0──▶ IN_TRAILERS ─line─▶ IN_TRAILERS                           anything else ─▶ IN_ERROR
 */

void aws_chunked_init(struct aws_chunked *d)
{
    *d = (struct aws_chunked){.state = AWS_CHUNKED_IN_HEADER};
}

static enum aws_chunked_kind bad(struct aws_chunked *d)
{
    d->state = AWS_CHUNKED_IN_ERROR;
    return AWS_CHUNKED_BAD;
}

enum line_verdict { LINE_INCOMPLETE, LINE_COMPLETE, LINE_TOO_LONG };

/* Collects up to a line feed; *out is the line without it, in d->line until the next call. */
static enum line_verdict read_line(struct aws_chunked *d, struct str *input, struct str *out)
{
    ptrdiff_t feed = str_find_char(*input, '\n');
    size_t taken = feed < 0 ? input->len : (size_t)feed + 1;
    if (taken > sizeof(d->line) - d->line_len)
        return LINE_TOO_LONG;
    if (taken > 0)
        memcpy(d->line + d->line_len, input->ptr, taken);
    d->line_len += taken;
    *input = str_from(*input, taken);
    if (feed < 0)
        return LINE_INCOMPLETE;
    *out = str_of(d->line, d->line_len - 1);
    d->line_len = 0;
    return LINE_COMPLETE;
}

/* "size" or "size;name=value;…"; extensions other than the signature mean nothing to us. */
static bool parse_header(struct str line, struct aws_chunked_event *out)
{
    if (!str_ends(line, STR("\r")))
        return false;
    struct str rest = str_first(line, line.len - 1);
    struct str size;
    struct str extension;
    (void)str_split(&rest, ';', &size); /* a line always has a first token */
    if (!str_parse_hex_u64(size, &out->size) || out->size > LIMIT_AWS_CHUNK_BYTES)
        return false;
    while (str_split(&rest, ';', &extension))
        if (str_starts(extension, STR("chunk-signature=")))
            out->signature = str_from(extension, strlen("chunk-signature="));
    return true;
}

static enum aws_chunked_kind next_header(struct aws_chunked *d, struct str *input, struct aws_chunked_event *out)
{
    struct str line;
    enum line_verdict verdict = read_line(d, input, &line);
    if (verdict == LINE_INCOMPLETE)
        return AWS_CHUNKED_MORE;
    if (verdict == LINE_TOO_LONG || !parse_header(line, out))
        return bad(d);
    d->data_left = out->size;
    d->chunk_is_last = out->size == 0;
    d->state = d->chunk_is_last ? AWS_CHUNKED_IN_DATA_END : AWS_CHUNKED_IN_DATA;
    return AWS_CHUNKED_CHUNK;
}

static enum aws_chunked_kind next_data(struct aws_chunked *d, struct str *input, struct aws_chunked_event *out)
{
    if (input->len == 0)
        return AWS_CHUNKED_MORE;
    out->bytes = str_first(*input, d->data_left < input->len ? (size_t)d->data_left : input->len);
    *input = str_from(*input, out->bytes.len);
    d->data_left -= out->bytes.len;
    if (d->data_left == 0)
        d->state = AWS_CHUNKED_IN_DATA_END;
    return AWS_CHUNKED_DATA;
}

/* The chunk of size 0 has no line end of its own: what follows are the trailers. */
static enum aws_chunked_kind next_data_end(struct aws_chunked *d, struct str *input)
{
    if (d->chunk_is_last) {
        d->state = AWS_CHUNKED_IN_TRAILERS;
        return AWS_CHUNKED_CHUNK_END;
    }
    struct str line;
    enum line_verdict verdict = read_line(d, input, &line);
    if (verdict == LINE_INCOMPLETE && d->line_len < 2)
        return AWS_CHUNKED_MORE;
    if (verdict != LINE_COMPLETE || !str_is(line, "\r"))
        return bad(d);
    d->state = AWS_CHUNKED_IN_HEADER;
    return AWS_CHUNKED_CHUNK_END;
}

/* Trailer lines of some clients end in a line feed alone, as their canonical form does. */
static enum aws_chunked_kind next_trailer(struct aws_chunked *d, struct str *input, struct aws_chunked_event *out)
{
    struct str line;
    size_t before = input->len;
    enum line_verdict verdict = read_line(d, input, &line);
    d->trailer_bytes += before - input->len;
    if (verdict == LINE_TOO_LONG || d->trailer_bytes > LIMIT_TRAILER_BYTES)
        return bad(d);
    if (verdict == LINE_INCOMPLETE)
        return AWS_CHUNKED_MORE;
    if (str_ends(line, STR("\r")))
        line.len--;
    if (line.len == 0) {
        d->ended = true;
        return AWS_CHUNKED_END;
    }
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon <= 0)
        return bad(d);
    out->name = str_first(line, (size_t)colon);
    out->value = str_trim(str_from(line, (size_t)colon + 1));
    return AWS_CHUNKED_TRAILER;
}

enum aws_chunked_kind aws_chunked_next(struct aws_chunked *d, struct str *input, struct aws_chunked_event *out)
{
    *out = (struct aws_chunked_event){0};
    switch (d->state) {
    case AWS_CHUNKED_IN_HEADER:
        return next_header(d, input, out);
    case AWS_CHUNKED_IN_DATA:
        return next_data(d, input, out);
    case AWS_CHUNKED_IN_DATA_END:
        return next_data_end(d, input);
    case AWS_CHUNKED_IN_TRAILERS:
        return next_trailer(d, input, out);
    case AWS_CHUNKED_IN_ERROR:
        break;
    }
    return AWS_CHUNKED_BAD;
}

bool aws_chunked_is_complete(const struct aws_chunked *d)
{
    return d->state == AWS_CHUNKED_IN_TRAILERS && d->ended && d->line_len == 0;
}
