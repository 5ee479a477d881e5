package smtpd

import (
	"errors"
	"fmt"
	"net/netip"

	"kurir/internal/auth"
	"kurir/internal/directory"
)

// Device is a network of printers, scanners and programs that cannot log in. What comes
// from it with a sender address that Account may use is taken as if Account had logged
// in, on port 25, too; with another sender it is a stranger's.
type Device struct {
	Networks []netip.Prefix
	Account  string // its address
}

// deviceAt is the device whose network has ip, the narrowest of several; nil: none.
func (r *run) deviceAt(ip netip.Addr) *Device {
	if r.mode == Trusted || r.mode == LMTP {
		return nil
	}
	ip = ip.Unmap().WithZone("") // a prefix has no zone
	var found *Device
	bits := -1
	for i, d := range r.srv.Devices {
		for _, n := range d.Networks {
			if n.Contains(ip) && n.Bits() > bits {
				found, bits = &r.srv.Devices[i], n.Bits()
			}
		}
	}
	return found
}

// role is what a client is in one transaction.
type role int

const (
	stranger role = iota // may send to recipients here
	user                 // has logged in
	device               // is in the network of a Device, and sends as its account
	trusted              // is a program of the administrator's
)

// submitter is who hands a message in.
type submitter struct {
	role    role
	account string // in whose name; "" for strangers, and for programs that send as nobody here
}

// submits tells whether the message may go elsewhere, and gets its header put right.
func (b submitter) submits() bool { return b.role != stranger }

// whoSends finds out who hands in a message from a sender, and refuses a sender that is
// not the client's to use.
func (s *session) whoSends(from Path) (submitter, *Reply) {
	w := s.wire
	switch {
	case w.run.mode == Trusted:
		account, r := s.ownerOf(from)
		return submitter{trusted, account}, r
	case w.run.mode == LMTP:
		return submitter{}, nil
	case s.account != "":
		r := s.mayStillSend()
		if r == nil {
			r = s.mayUse(from)
		}
		return submitter{user, s.account}, r
	}
	if w.device != nil && !from.IsNull() {
		if account, r := s.asDevice(from); r != nil || account != "" {
			return submitter{device, account}, r
		}
	}
	var r *Reply
	switch {
	case w.run.mode == Inbound:
		if w.early != nil && w.early() {
			r = replyEarly
		}
	case w.device != nil:
		r = w.deviceReply(replyMustAuth)
	case w.hasAuth() && !w.mayAuth():
		r = replyMustTLS
	default:
		r = replyMustAuth
	}
	return submitter{}, r
}

// mayStillSend refuses a user whose account was disabled or removed since the login,
// or its password changed or revoked. Who
// inherited its address, by a catch-all, is somebody else.
func (s *session) mayStillSend() *Reply {
	w := s.wire
	found, err := w.srv.Directory.Resolve(w.ctx, s.account)
	switch {
	case err == nil && s.entered != nil && s.entered.over.Load() && len(found) == 1 && !found[0].Account.Disabled:
		return replyLoginOver
	case err != nil && replyTo(err).Code < 500:
		return replyTo(err)
	case err != nil || len(found) != 1 || found[0].Account.Address != s.account:
		return replyNoAccount.because(err)
	case found[0].Account.Disabled:
		return replyNoAccount.because(nil).saying(&auth.DisabledError{Message: found[0].Account.Message})
	}
	return nil
}

// mayUse refuses a sender that the account may not send as.
func (s *session) mayUse(from Path) *Reply {
	if from.IsNull() { // notices of a mail program, such as those of RFC 8098
		return nil
	}
	w := s.wire
	ok, err := w.srv.Directory.MaySendAs(w.ctx, s.account, from.String())
	switch {
	case err != nil && replyTo(err).Code < 500:
		return replyTo(err)
	case err != nil || !ok:
		return replyNotYours.because(err)
	}
	return nil
}

// asDevice is the account that a sender makes of a client in a device's network; "" if
// the sender is not one of that account's.
func (s *session) asDevice(from Path) (account string, r *Reply) {
	w := s.wire
	found, err := w.srv.Directory.Resolve(w.ctx, w.device.Account)
	named := false
	if err == nil && len(found) == 1 { // it is not the catch-all's that mail for a removed account would go to
		named, err = w.srv.Directory.MaySendAs(w.ctx, found[0].Account.Address, w.device.Account)
	}
	switch {
	case err != nil && replyTo(err).Code < 500:
		return "", replyTo(err)
	case err == nil && len(found) != 1:
		err = errors.New("is an alias of several")
	case err == nil && !named:
		err = directory.ErrNoAccount
	case err == nil && found[0].Account.Disabled:
		err = errors.New("is disabled")
	}
	if err != nil {
		w.log.Warn("account of a device network can't be used", "account", w.device.Account, "error", err)
		return "", nil
	}
	account = found[0].Account.Address
	ok, err := w.srv.Directory.MaySendAs(w.ctx, account, from.String())
	switch {
	case err != nil:
		return "", replyTo(err)
	case !ok:
		return "", nil
	}
	return account, nil
}

// deviceReply says in a refusal what a client in a device's network could do instead.
func (w *wire) deviceReply(r *Reply) *Reply {
	name := w.device.Account
	if !isASCII(name) {
		name = "its account"
	}
	c := *r
	c.Text = fmt.Sprintf("%s; this network may send only with a sender address of %s", r.Text, name)
	return &c
}

// ownerOf is the account here whose address a sender is; "" for any other, and for
// several.
func (s *session) ownerOf(from Path) (string, *Reply) {
	if from.IsNull() {
		return "", nil
	}
	found, err := s.find(from)
	switch {
	case err != nil && replyTo(err).Code < 500:
		return "", replyTo(err)
	case err != nil || len(found) != 1:
		return "", nil
	}
	return found[0].Account.Address, nil
}

// clientName says in the queue's records where a message came from.
func (s *session) clientName() string {
	ip := "[" + s.wire.ip.String() + "]"
	switch s.by.role {
	case trusted:
		return "local submission"
	case device:
		return "device from " + ip
	case user:
		return "submission from " + ip
	}
	switch {
	case s.wire.isUnix():
		return "lmtp"
	case s.wire.run.mode == LMTP:
		return "lmtp from " + ip
	}
	return "smtp from " + ip
}
