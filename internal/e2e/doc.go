// Package e2e holds tests alone: they run the built binary, as a person would, and talk
// to it with programs that know nothing of it. They own no format and no code of the
// server; what they rely on is the command "local" and the published protocols.
//
// KURIR_BINARY names the binary; without it, one is built. Tests whose client is not
// installed are skipped, or fail with KURIR_REAL_CLIENTS=require; so are those that need
// root, to put addresses on the loopback interface for other hosts. KURIR_KILL_ROUNDS says
// how often TestKill and TestQueueKill kill the server, KURIR_KILL_SEED repeats one of
// their runs, and with KURIR_KEEP=1 the data of a failed test stays.
package e2e
