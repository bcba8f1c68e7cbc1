package main

import (
	"cmp"
	"context"
	"time"

	"jeton/projections"
)

// sealInterval is how often the log is signed, if something has happened.
const sealInterval = time.Minute

// newSealer is what signs the log.
func (m *Main) newSealer() *projections.Sealer {
	return &projections.Sealer{Model: m.Model, Views: m.Views, Vault: m.Vault, Log: m.Store.StoreID(), Every: cmp.Or(m.SealEvery, sealInterval)}
}

// firstVerifier is the public half of the key with which a new platform begins.
func (s *Stores) firstVerifier(ctx context.Context) (string, error) {
	return (&projections.Sealer{Vault: s.Vault, Log: s.Store.StoreID()}).FirstKey(ctx)
}

// seal signs the log, and takes what was signed elsewhere, until ctx ends.
func (m *Main) seal(ctx context.Context) {
	m.running.Go(func() { m.stopped("the signing of the log", m.sealer.Run(ctx, m.Log)) })
	for _, a := range m.anchors {
		m.running.Go(func() { a.run(ctx) })
	}
}
