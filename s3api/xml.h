/* Writing XML: sticky, into a buf, escapes what must be (control characters that XML 1.0 cannot hold become U+FFFD).
 * Reading is base/xml.h. Thread: any, one document at a time. */
#ifndef S3API_XML_H
#define S3API_XML_H

#include "base/buf.h"
#include "base/str.h"
#include "base/xml.h"

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
