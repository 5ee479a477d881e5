package gate

import (
	"context"
	"net/netip"
)

// A Gate looks at clients. The zero value lets everybody in.
type Gate struct{}

// Visit is one connection. It is used by one goroutine at a time.
type Visit struct{}

// Connect begins a visit that ends with ctx. ip is the zero Addr where nobody in
// particular has it. The error is a *Refusal that closes the connection.
func (g *Gate) Connect(ctx context.Context, ip netip.Addr) (*Visit, error) { return &Visit{}, nil }

// Hello takes the name of EHLO or HELO; the last one counts.
func (v *Visit) Hello(name string) {}

// Mail is asked about the sender of a message, "" being the null reverse-path.
func (v *Visit) Mail(ctx context.Context, from string) error { return nil }

// Rcpt is asked about a recipient here.
func (v *Visit) Rcpt(ctx context.Context, to string) error { return nil }

// Refused counts a command that was refused for good.
func (v *Visit) Refused() {}

// Findings are those about the message under way.
func (v *Visit) Findings() Findings { return Findings{} }
