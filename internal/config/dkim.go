package config

// DKIM says how mail that leaves is signed.
type DKIM struct {
	Sign bool // what is submitted, and our own notices
}
