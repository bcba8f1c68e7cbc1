package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// The organization whose past is asked for: a tenth of its commits makes tokens, one in
// 25 changes settings, and the rest changes tokens.
const (
	pastTokensThen   = 10_000
	pastCommits      = 100_000
	pastMembers      = 500
	pastSettingsEach = 25
)

// lived is an organization that has a past.
type lived struct {
	commandBench
	views   *projections.Views
	tokens  []domain.TokenID
	members []domain.AccountID
	engine  domain.Position
	dice    *rand.Rand
}

// past measures answers about the past on SQLite: first ones, of moments that nobody has
// asked about before.
func (b bench) past(ctx context.Context) ([]row, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	dir, err := os.MkdirTemp(filepath.Dir(b.Dir), "past-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l := &lived{dice: rand.New(rand.NewPCG(1, 2))}
	store := new(eventstore.Memory)
	l.vault = forgetful(ctx)
	l.model = projections.NewModel(store, l.vault, time.Now)
	go func() { _ = l.model.Run(ctx) }() // Loaded reports what is wrong
	if err := l.model.Loaded(ctx); err != nil {
		return nil, err
	}
	if err := l.live(ctx); err != nil {
		return nil, err
	}
	if l.views, err = projections.OpenViews(ctx, "sqlite:"+filepath.Join(dir, "views.db"), l.vault); err != nil {
		return nil, err
	}
	defer l.views.Close()
	running, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.views.Run(running, store, "the log of the bench") }()
	defer func() { end(); <-ended }()
	if err := l.views.Wait(ctx, l.model.Position()); err != nil {
		return nil, err
	}
	return l.answers(ctx, b.Rounds)
}

// live does what there is to be looked back at.
func (l *lived) live(ctx context.Context) error {
	if err := l.commandBench.found(ctx); err != nil {
		return err
	}
	id, secret, err := draw(domain.Administrative)
	if err != nil {
		return err
	}
	o, err := l.do(ctx, domain.RegisterEngine{
		Name: "prod", Door: domain.Door{PersonalTokens: true},
		EngineToken: domain.EngineToken{Token: id, Hash: secret.Hash(), Never: true},
	})
	if err != nil {
		return err
	}
	l.engine = o.Position
	for n := range pastMembers {
		if err := l.join(ctx, n); err != nil {
			return err
		}
	}
	for l.model.Position() < pastCommits {
		if err := l.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *lived) do(ctx context.Context, command domain.OrganizationCommand) (projections.Outcome, error) {
	return l.model.Execute(ctx, domain.Meta{Organization: l.org, Actor: l.actor, Address: "203.0.113.77"}, command)
}

func (l *lived) join(ctx context.Context, n int) error {
	member := domain.AccountID{ID: domain.RandomID()}
	_, err := l.model.ExecuteDirectory(ctx, domain.Meta{Organization: l.org, Actor: l.actor}, domain.RegisterAccount{Account: member, Email: fmt.Sprintf("m%d@bench.test", n)})
	if err == nil {
		_, err = l.do(ctx, domain.AddMember{Account: member, Role: domain.Ordinary})
	}
	l.members = append(l.members, member)
	return err
}

// step is one commit, or none if it would change nothing.
func (l *lived) step(ctx context.Context) error {
	var command domain.OrganizationCommand
	switch n := l.dice.IntN(pastCommits); {
	case len(l.tokens) < 10 || len(l.tokens) < pastTokensThen && n < 3*pastTokensThen/2:
		id, secret, err := draw(domain.Administrative)
		if err != nil {
			return err
		}
		kind := []domain.TokenKind{domain.Administrative, domain.Personal}[len(l.tokens)%2]
		l.tokens = append(l.tokens, id)
		command = domain.IssueToken{Token: id, Kind: kind, Name: fmt.Sprint("token ", len(l.tokens)), Hash: secret.Hash()}
	case l.dice.IntN(pastSettingsEach) == 0:
		suspended := l.dice.IntN(2) == 0
		command = domain.UpdateMember{Account: l.members[l.dice.IntN(len(l.members))], Suspended: &suspended}
	default:
		command = l.change()
	}
	_, err := l.do(ctx, command)
	if errors.Is(err, domain.ErrState) { // it was revoked
		return nil
	}
	return err
}

// change is a change of some token.
func (l *lived) change() domain.OrganizationCommand {
	id := l.tokens[l.dice.IntN(len(l.tokens))]
	what := fmt.Sprint("at ", l.model.Position())
	switch l.dice.IntN(20) {
	case 0:
		return domain.RevokeToken{Token: id, Reason: "over"}
	case 1, 2, 3:
		networks := []domain.Network{}
		return domain.UpdateToken{Token: id, Networks: &networks, Grant: &domain.Grant{Access: []domain.Access{domain.ReadOnly, domain.FullAccess}[l.dice.IntN(2)]}}
	}
	return domain.UpdateToken{Token: id, Description: &what}
}

// answers asks about moments all over the past, each time as if for the first time.
func (l *lived) answers(ctx context.Context, rounds int) ([]row, error) {
	questions := []struct {
		what string
		ask  func(context.Context, *projections.Then) error
	}{
		{"a page of the tokens", l.page},
		{"the policy", func(_ context.Context, then *projections.Then) error { _, _ = then.Model.Policy(l.org); return nil }},
		{"who could come in at an engine", l.could},
	}
	var rows []row
	for _, q := range questions {
		var took []float64
		for _, twentieth := range []domain.Position{1, 10, 19} {
			at := pastCommits * twentieth / 20
			for i := range rounds {
				began := time.Now()
				past := &projections.Past{Model: l.model, Views: l.views}
				then, err := past.At(ctx, l.org, projections.Asked{Position: at + domain.Position(i)})
				if err == nil {
					err = q.ask(ctx, then)
				}
				if err != nil {
					return nil, fmt.Errorf("%s at %d: %w", q.what, at, err)
				}
				took = append(took, time.Since(began).Seconds()*1000)
			}
		}
		rows = append(rows, row{"(k) as it was, the first answer: " + q.what, fmt.Sprintf("%.0f ms (slowest %.0f)", median(took), slices.Max(took)), "≤ 200 ms",
			fmt.Sprintf("%s tokens, %s commits, SQLite; early, midway and late", count(len(l.tokens)), count(int(l.model.Position())))})
	}
	return rows, nil
}

func (l *lived) page(ctx context.Context, then *projections.Then) error {
	tokens, err := l.views.Tokens(then.Context(ctx), projections.TokenFilter{Organization: l.org, Limit: 51})
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if _, known := then.Model.Standing(l.org, t.ID); !known {
			return fmt.Errorf("the token %s is on the page, and was not there", t.ID)
		}
	}
	if len(tokens) < 51 {
		return fmt.Errorf("a page has %d tokens", len(tokens))
	}
	return nil
}

func (l *lived) could(_ context.Context, then *projections.Then) error {
	_, all, err := then.Model.Could(l.org, l.engine, projections.Wanted{Permission: "tokens.check"})
	if err == nil && len(all) < 100 {
		err = fmt.Errorf("only %d tokens could come in", len(all))
	}
	return err
}
