/* XML, bounded: the only file of s3api that knows libxml2. Reading: no DTD, no entities beyond the five, no network; depth,
 * element count and size limited; elements by local name in any namespace. Writing: sticky, into a buf, escapes what must
 * be (control characters that XML 1.0 cannot hold become U+FFFD). Thread: any, one document at a time. */
#ifndef S3API_XML_H
#define S3API_XML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct xml_node {
    struct str name; /* local name */
    struct str text; /* character data directly inside, entities resolved, concatenated */
    struct xml_node *first_child, *next;
    struct str type_attribute; /* xsi:type, for grantees; empty otherwise */
};

/* The root element; NULL when the bytes are not well-formed, or past a limit. */
struct xml_node *xml_parse(struct str bytes, struct arena *arena);
/* First child of that name, or NULL (also for NULL n). */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* Its text trimmed of white space; ptr NULL when absent. */
struct str xml_child_text(const struct xml_node *n, const char *name);
size_t xml_child_count(const struct xml_node *n, const char *name);

#define S3_XML_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"
/* <?xml …?>\n */
void xml_begin(struct buf *b);
void xml_open(struct buf *b, const char *name);
/* <name xmlns="…2006-03-01/"> */
void xml_open_ns(struct buf *b, const char *name);
void xml_close(struct buf *b, const char *name);
void xml_text(struct buf *b, const char *name, struct str value);
void xml_u64(struct buf *b, const char *name, uint64_t value);
void xml_bool(struct buf *b, const char *name, bool value);
/* <name>&quot;…&quot;</name> */
void xml_etag(struct buf *b, const char *name, struct str etag);
void xml_time(struct buf *b, const char *name, int64_t wall_ns);
/* Only the escaped characters. */
void xml_escape(struct buf *b, struct str value);

#endif
