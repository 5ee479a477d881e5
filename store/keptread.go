package store

import (
	"context"
	"errors"

	"kurir/internal/message"
)

// Structures calls f for each of the messages uids, which ascend, with its place in uids
// and its MIME structure, see [View.Structure]; nil for a message that is gone. What it
// gives is valid until f returns. Errors: f's, ctx's, ErrUnavailable with its cause.
func (v *View) Structures(ctx context.Context, uids []UID, f func(i int, p *message.Part) error) error {
	for i, uid := range uids {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := v.Structure(ctx, uid)
		if err != nil && !errors.Is(err, ErrExpunged) {
			return err
		}
		if err := f(i, p); err != nil {
			return err
		}
	}
	return nil
}

// Headings calls f for each of the messages uids, which ascend, with its place in uids and
// what is kept of its header; nil for a message that is gone. What it gives is valid until
// f returns. Errors: f's, ctx's, ErrUnavailable with its cause.
func (v *View) Headings(ctx context.Context, uids []UID, f func(i int, h *message.Heading) error) error {
	for i, uid := range uids {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := v.readHeading(ctx, uid)
		if err != nil {
			return err
		}
		if err := f(i, h); err != nil {
			return err
		}
	}
	return nil
}

// readHeading reads a message's heading out of its file; nil if it is gone.
func (v *View) readHeading(ctx context.Context, uid UID) (*message.Heading, error) {
	b, err := v.Open(ctx, uid)
	if errors.Is(err, ErrExpunged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer b.Close()
	raw, err := readSearchHeader(b.Whole())
	if err != nil {
		return nil, kindOf(err)
	}
	return message.ParseHeading(raw), nil
}
