//go:build !unix

package listen

// restrictSocket has nothing to do where sockets have no file mode; the data directory's access list stands.
func restrictSocket(uintptr) error { return nil }
