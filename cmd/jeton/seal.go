package main

import (
	"cmp"
	"context"
	"time"

	"jeton/projections"
)

// sealInterval is how often the log is signed, if something has happened.
const sealInterval = time.Minute

// newSealer is what signs the log; nil where there is no vault to keep a key in.
func (m *Main) newSealer() *projections.Sealer {
	if m.Vault == nil {
		return nil
	}
	return &projections.Sealer{Model: m.Model, Views: m.Views, Vault: m.Vault, Log: m.Store.StoreID(), Every: cmp.Or(m.SealEvery, sealInterval)}
}

// firstVerifier is the public half of the key with which a new platform begins; empty:
// it gets one later.
func (m *Main) firstVerifier(ctx context.Context) (string, error) {
	if m.sealer == nil {
		return "", nil
	}
	return m.sealer.FirstKey(ctx)
}

// seal signs the log, and takes what was signed elsewhere, until ctx ends.
func (m *Main) seal(ctx context.Context) {
	if m.sealer == nil {
		return
	}
	m.running.Go(func() { m.stopped("the signing of the log", m.sealer.Run(ctx, m.Log)) })
	for _, a := range m.anchors {
		m.running.Go(func() { a.run(ctx) })
	}
}
