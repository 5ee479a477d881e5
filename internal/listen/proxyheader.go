package listen

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/pires/go-proxyproto"
)

const (
	maxV1     = 107 // octets of a whole line, line end included
	prefixV2  = 16  // signature, command, family and the length of the rest
	maxV2Rest = 4096
)

var (
	errNoHeader  = errors.New("no header of the PROXY protocol")
	errLongRest  = fmt.Errorf("header of more than %d bytes", prefixV2+maxV2Rest)
	errNoStream  = errors.New("header is not for TCP")
	errNoAddress = errors.New("header has no address that a client could have")
)

// readProxyHeader reads the header and not an octet more, so that TLS and the wait for
// early talk find all that the client sent. What follows the addresses in version 2 is
// left aside. The outcome is the client's address and the one it connected to; nobody,
// and c's own, where the proxy speaks for itself (LOCAL, UNKNOWN).
func readProxyHeader(c net.Conn) (from, to net.Addr, err error) {
	raw, err := headerBytes(c)
	if err != nil {
		return nil, nil, err
	}
	if raw[0] != 'P' && (raw[12] == byte(proxyproto.LOCAL) || raw[12] == byte(proxyproto.PROXY) && raw[13] == byte(proxyproto.UNSPEC)) {
		// The proxy's own connection, whatever family it says, or one of a client without a
		// known address: the parser does not take all of them.
		return nobody{c.RemoteAddr()}, c.LocalAddr(), nil
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(raw), len(raw)))
	switch {
	case err != nil:
		return nil, nil, err
	case h.Command.IsLocal() || h.TransportProtocol.IsUnix(): // UNKNOWN of version 1 is LOCAL to the parser
		return nobody{c.RemoteAddr()}, c.LocalAddr(), nil
	}
	src, dst, ok := h.TCPAddrs()
	if !ok {
		return nil, nil, errNoStream
	}
	if ip := remoteIP(src); !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() {
		return nil, nil, errNoAddress
	}
	return src, dst, nil
}

// headerBytes reads a whole header, as its first octets say where it ends.
func headerBytes(r io.Reader) ([]byte, error) {
	raw := make([]byte, 1, prefixV2)
	if err := readPart(r, raw); err != nil {
		return nil, err
	}
	signature := proxyproto.SIGV2
	if raw[0] == 'P' {
		signature = proxyproto.SIGV1
	}
	for len(raw) < len(signature) {
		if raw[len(raw)-1] != signature[len(raw)-1] {
			return nil, errNoHeader
		}
		raw = append(raw, 0)
		if err := readPart(r, raw[len(raw)-1:]); err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(raw, signature) {
		return nil, errNoHeader
	}
	if raw[0] == 'P' {
		return lineBytes(r, raw)
	}
	return binaryBytes(r, raw)
}

// lineBytes reads the rest of a header of version 1, which has no length: octet by octet.
func lineBytes(r io.Reader, raw []byte) ([]byte, error) {
	for raw[len(raw)-1] != '\n' {
		if len(raw) == maxV1 {
			return nil, proxyproto.ErrVersion1HeaderTooLong
		}
		raw = append(raw, 0)
		if err := readPart(r, raw[len(raw)-1:]); err != nil {
			return nil, err
		}
	}
	return raw, nil
}

// binaryBytes reads the rest of a header of version 2.
func binaryBytes(r io.Reader, raw []byte) ([]byte, error) {
	n := len(raw)
	raw = raw[:prefixV2]
	if err := readPart(r, raw[n:]); err != nil {
		return nil, err
	}
	rest := int(raw[14])<<8 | int(raw[15])
	if rest > maxV2Rest {
		return nil, errLongRest
	}
	raw = append(raw, make([]byte, rest)...)
	return raw, readPart(r, raw[prefixV2:])
}

// readPart fills p; a header that is cut short is none.
func readPart(r io.Reader, p []byte) error {
	if _, err := io.ReadFull(r, p); err != nil {
		return fmt.Errorf("%w: %w", errNoHeader, err)
	}
	return nil
}
