package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/caddyserver/certmagic"
)

// mend clears away what a broken disk, half a backup, or a process that was killed between
// two files has left of a name's certificate. certmagic, which only looks whether the files
// are there, would take it for a whole one and never order another. A key that can be read
// stays: the next certificate has it too. Files that cannot be read now are left alone.
func (m *Manager) mend(ctx context.Context, name string) error {
	issuer := m.issuerKey()
	certAt, keyAt, metaAt := certmagic.StorageKeys.SiteCert(issuer, name), certmagic.StorageKeys.SitePrivateKey(issuer, name), certmagic.StorageKeys.SiteMeta(issuer, name)
	var texts [3][]byte
	there := false
	for i, at := range []string{certAt, keyAt, metaAt} {
		text, err := m.storage.Load(ctx, at)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		texts[i], there = text, there || err == nil
	}
	if !there {
		return nil
	}
	if _, err := tls.X509KeyPair(texts[0], texts[1]); err == nil {
		return m.mendMeta(ctx, name, metaAt, texts[2])
	}
	gone := []string{certAt, metaAt}
	if _, err := certmagic.PEMDecodePrivateKey(texts[1]); err != nil {
		gone = append(gone, keyAt)
	}
	if texts[0] != nil {
		m.o.Log.Warn("a certificate is damaged, a new one is ordered", "name", name)
	}
	var errs []error
	for _, at := range gone {
		if m.storage.Exists(ctx, at) {
			errs = append(errs, m.storage.Delete(ctx, at))
		}
	}
	return errors.Join(errs...)
}

// mendMeta writes what certmagic has to know to renew a certificate, if that is damaged.
func (m *Manager) mendMeta(ctx context.Context, name, at string, text []byte) error {
	var had certmagic.CertificateResource
	if json.Unmarshal(text, &had) == nil && len(had.SANs) > 0 {
		return nil
	}
	m.o.Log.Warn("what belongs to a certificate is damaged, and is written anew", "name", name)
	text, err := json.Marshal(certmagic.CertificateResource{SANs: []string{name}, IssuerData: json.RawMessage("{}")})
	if err != nil {
		return err
	}
	return m.storage.Store(ctx, at, text)
}

// mendAccounts forgets accounts at CAs of which a file is damaged: with it no order can be
// made, and a new account is as good.
func (m *Manager) mendAccounts(ctx context.Context) error {
	all, err := m.storage.List(ctx, "acme", true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	damaged := map[string]bool{}
	for _, at := range all {
		if !strings.Contains(at, "/users/") || path.Ext(at) != ".json" && path.Ext(at) != ".key" {
			continue
		}
		text, readErr := m.storage.Load(ctx, at)
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		if _, keyErr := certmagic.PEMDecodePrivateKey(text); path.Ext(at) == ".key" && keyErr != nil || path.Ext(at) == ".json" && !json.Valid(text) {
			damaged[path.Dir(at)] = true
		}
	}
	for at := range damaged {
		m.o.Log.Warn("the account at the CA is damaged, a new one is made", "account", at)
		err = errors.Join(err, m.storage.Delete(ctx, at))
	}
	return err
}
