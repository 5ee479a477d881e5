package config

import "time"

// Trace is what is remembered of the way of each message.
type Trace struct {
	Keep time.Duration // 0: nothing is
}

// reserveAuto is the value of store.reserve that leaves the size to the server.
const reserveAuto = "auto"

// StoreReserve is the room on the disk that mail leaves free: auto tells that it is the server's
// to choose, by the size of the disk.
func (c *Config) StoreReserve() (size Size, auto bool) {
	if c.Store.Reserve == reserveAuto {
		return 0, true
	}
	size, err := ParseSize(c.Store.Reserve)
	return size, err != nil // which check has refused
}

func traceFields(c *Config) []field {
	return []field{
		{key: "trace.keep", target: &c.Trace.Keep,
			doc: "How long the way of each message is remembered, for: kurir trace. Who wrote to whom is kept,\nand no subject and no text. \"0s\" is not at all."},
	}
}

func reserveField(c *Config) field {
	return field{key: "store.reserve", target: &c.Store.Reserve,
		doc: "Room on the disk that mail leaves free: with less, new mail is put off (452), and all else\ngoes on. \"auto\" is 5 % of the disk, 100 MiB at least and 1 GiB at most. \"0\" is none."}
}

func (l *loader) checkReserve() {
	if v := l.c.Store.Reserve; v != reserveAuto {
		if size, err := ParseSize(v); err != nil || size < 0 {
			l.wrong("store.reserve", "%q is neither \"auto\" nor a size, such as \"500MiB\"", v)
		}
	}
}
