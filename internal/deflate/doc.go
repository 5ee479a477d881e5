// Package deflate is DEFLATE (RFC 1951) as conversations need it: a stream without an end,
// in which either side waits for an answer to what it has sent. It owns the format of such
// a stream and no connection; imapd puts it upon one.
//
// Reader differs from compress/flate in two ways. It gives every octet that the input so far
// decides, where compress/flate holds back those of a block that was not followed by an
// empty stored one (zlib's Z_PARTIAL_FLUSH and Z_BLOCK), so that client and server would wait
// for each other for ever. And its window grows with what was sent: a client that says
// little costs little.
//
// Writer compresses each Write by itself, with state that is borrowed for as long as the
// processor works on it: a connection that waits holds nothing.
package deflate
