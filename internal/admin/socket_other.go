//go:build !unix

package admin

// restrictSocket has nothing to do where sockets have no file mode; the data directory's access list stands.
func restrictSocket(uintptr) error { return nil }
