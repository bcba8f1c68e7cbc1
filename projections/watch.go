package projections

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
)

// suspect is a secret that was rotated out and has been shown.
type suspect struct {
	organization domain.OrganizationID
	token        domain.TokenID
	hash         domain.Hash
}

// manySuspects is how many may wait to be recorded. More are dropped: whoever shows
// an old secret all the time is recorded once a day anyway.
const manySuspects = 256

// reused lets Watch know, without making whoever checks wait.
func (m *Model) reused(c *Checked) {
	select {
	case m.suspects <- suspect{c.Home, c.ID, c.shown}:
	default:
	}
}

// Watch does what nobody commands: it records the use of secrets that were rotated
// out, warns of tokens that are about to end, ends what nobody has approved in
// time, and takes deleted people out of their organizations. Every node may do it:
// each thing is decided once. It runs until ctx ends.
func (m *Model) Watch(ctx context.Context, every time.Duration, log zerolog.Logger) error {
	if err := m.Loaded(ctx); err != nil {
		return nil // Run has said why
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	m.round(ctx, log)
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-m.suspects:
			m.command(ctx, log, s.organization, domain.ReportReuse{Token: s.token, Hash: s.hash})
		case <-tick.C:
			m.round(ctx, log)
		}
	}
}

// round looks once at every organization.
func (m *Model) round(ctx context.Context, log zerolog.Logger) {
	for _, t := range m.all() {
		if ctx.Err() != nil {
			return
		}
		for m.command(ctx, log, t.state.ID, domain.WarnOfExpiry{}) {
		}
		for m.command(ctx, log, t.state.ID, domain.Lapse{}) {
		}
		for _, account := range t.leavers() {
			m.command(ctx, log, t.state.ID, domain.RemoveMember{Account: account, Reason: "the account was deleted"})
		}
	}
}

// leavers are the members whose account was deleted.
func (t *tenant) leavers() (accounts []domain.AccountID) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, p := range t.people {
		if p == nil || !p.gone.Load() {
			continue
		}
		if _, member := t.state.Member(p.id); member && t.state.Deleted == 0 {
			accounts = append(accounts, p.id)
		}
	}
	return accounts
}

func isGone(err error) bool { return errors.Is(err, domain.ErrNotFound) }

// command is done by the service itself. True: it did something, and there may be
// more to do.
func (m *Model) command(ctx context.Context, log zerolog.Logger, org domain.OrganizationID, command domain.OrganizationCommand) bool {
	meta := domain.Meta{Organization: org, Actor: domain.Actor{Kind: domain.ActorSystem}}
	outcome, err := m.Execute(ctx, meta, command)
	if err != nil && ctx.Err() == nil && !isGone(err) {
		log.Error().Err(err).Stringer("organization", org).Type("command", command).Msg("the watch could not do its work; it tries again")
	}
	return err == nil && len(outcome.Events) > 0
}
