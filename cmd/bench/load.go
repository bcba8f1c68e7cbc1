package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// platform is the opened data directory.
type platform struct {
	server *eventstore.Embedded
	store  *eventstore.JetStream
	vault  *eventstore.Vault
}

// open opens the log of the data directory as the server does, but for the
// filling without waiting for the disk.
func open(ctx context.Context, dir string, fast bool) (p platform, err error) {
	p.server, err = eventstore.StartEmbedded(eventstore.EmbeddedConfig{
		Dir: dir, Log: zerolog.Nop(), LoseAcknowledgedWritesOnPowerFailure: fast,
	})
	if err != nil {
		return p, err
	}
	if p.store, err = eventstore.Open(ctx, p.server.JetStream()); err != nil {
		return p, err
	}
	p.vault, err = unlock(ctx, p.store, dir)
	return p, err
}

// unlock opens the keys of a platform with the master key that jeton init has made.
func unlock(ctx context.Context, store *eventstore.JetStream, dir string) (*eventstore.Vault, error) {
	text, err := os.ReadFile(filepath.Join(dir, "master.key"))
	if err != nil {
		return nil, err
	}
	masters, err := eventstore.ParseMasters(string(text))
	if err != nil {
		return nil, err
	}
	keys, err := eventstore.OpenKeys(ctx, store)
	if err != nil {
		return nil, err
	}
	return eventstore.OpenVault(ctx, keys, masters...)
}

// forgetful is a vault for a platform that is gone when the program ends.
func forgetful(ctx context.Context) *eventstore.Vault {
	vault, err := eventstore.OpenVault(ctx, new(eventstore.MemoryKeys), eventstore.NewMaster())
	if err != nil {
		panic(err) // keys in memory never fail
	}
	return vault
}

// founded is what jeton init printed.
type founded struct {
	Organization struct {
		ID domain.Position `json:"id"`
	} `json:"organization"`
	Token string `json:"token"`
}

func (b bench) founded() (f founded, err error) {
	data, err := os.ReadFile(b.file("founded.json"))
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(data, &f)
}

// load fills the log through the domain's own commands, and then SQL from it.
func (b bench) load(ctx context.Context) error {
	p, err := open(ctx, b.Dir, true)
	if err != nil {
		return err
	}
	defer p.server.Close()
	model := projections.NewModel(p.store, p.vault, time.Now)
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() { _ = model.Run(running) }() // Loaded reports what is wrong
	if err := model.Loaded(ctx); err != nil {
		return err
	}
	began := time.Now()
	if err := b.fill(ctx, model); err != nil {
		return err
	}
	filled := time.Since(began)
	return b.views(running, p, row{"commands without waiting for the disk, 32 writers", perSecond(rate(b.Tokens, filled)), "", "how the tokens were loaded"})
}

func (b bench) views(ctx context.Context, p platform, filled row) error {
	store := p.store
	views, err := projections.OpenViews(ctx, "sqlite:"+filepath.Join(b.Dir, "views.db"), p.vault)
	if err != nil {
		return err
	}
	defer views.Close()
	last, err := store.Last(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	go func() { _ = views.Run(ctx, store, store.StoreID()) }() // Wait reports what is wrong
	if err := views.Wait(ctx, last); err != nil {
		return err
	}
	return report(filled, row{"SQL views catching up, SQLite", perSecond(rate(int(last), time.Since(began))), "", "commits with their rows and checkpoint"})
}

// fill makes the organizations and their tokens, half of them personal.
func (b bench) fill(ctx context.Context, model *projections.Model) error {
	f, err := b.founded()
	if err != nil {
		return err
	}
	root, err := model.Check(f.Token, projections.Use{})
	if err != nil {
		return err
	}
	out, err := os.OpenFile(b.file("secrets"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	secrets := &lines{to: bufio.NewWriter(out)}
	if err := b.inParallel(func(i int) error { return b.organization(ctx, model, root.Actor(), i, secrets) }); err != nil {
		return err
	}
	return secrets.close(out)
}

// inParallel runs do for every organization, 32 at a time.
func (b bench) inParallel(do func(i int) error) error {
	var next atomic.Int64
	var wait sync.WaitGroup
	errs := make(chan error, 32)
	for range 32 {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.Organizations; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wait.Wait()
	close(errs)
	return <-errs
}

func (b bench) organization(ctx context.Context, model *projections.Model, root domain.Actor, i int, secrets *lines) error {
	owner, org, secret, err := owned(ctx, model, root, i)
	if err != nil {
		return err
	}
	secrets.add(i, secret)
	if err := makeRoom(ctx, model, org, owner); err != nil {
		return err
	}
	for n := 1; n < b.Tokens/b.Organizations; n++ {
		if err := issue(ctx, model, org, owner, i, n, secrets); err != nil {
			return err
		}
	}
	return nil
}

// owned is an organization with its owner, and the owner's first secret.
func owned(ctx context.Context, model *projections.Model, root domain.Actor, i int) (owner domain.Actor, org domain.OrganizationID, secret domain.Secret, err error) {
	org = domain.OrganizationID{ID: domain.RandomID()}
	first, secret, err := draw(domain.Personal)
	if err != nil {
		return owner, org, secret, err
	}
	_, err = model.ExecuteDirectory(ctx, domain.Meta{Organization: org, Actor: root}, domain.CreateOrganization{
		Organization: org, Alias: fmt.Sprint("org-", i), Name: fmt.Sprint("Organization ", i),
		OwnerEmail: fmt.Sprintf("owner-%d@bench.test", i), Account: domain.AccountID{ID: domain.RandomID()},
		First: domain.FirstToken{Token: first, Hash: secret.Hash()},
	})
	if err != nil {
		return owner, org, secret, err
	}
	checked, err := model.Check(secret.Reveal(), projections.Use{})
	return checked.Actor(), org, secret, err
}

// makeRoom lets everybody have any number of tokens.
func makeRoom(ctx context.Context, model *projections.Model, org domain.OrganizationID, actor domain.Actor) error {
	policy := domain.UsualPolicy()
	policy.Personal.PerHolder = 0
	_, err := model.Execute(ctx, domain.Meta{Organization: org, Actor: actor}, domain.UpdatePolicy{Policy: policy})
	return err
}

func issue(ctx context.Context, model *projections.Model, org domain.OrganizationID, actor domain.Actor, organization, n int, secrets *lines) error {
	kind := domain.Personal
	if n%2 == 0 {
		kind = domain.Administrative
	}
	id, secret, err := draw(kind)
	if err != nil {
		return err
	}
	_, err = model.Execute(ctx, domain.Meta{Organization: org, Actor: actor}, domain.IssueToken{
		Token: id, Kind: kind, Name: fmt.Sprint("ci runner ", n), Description: "made by bench", Hash: secret.Hash(),
	})
	secrets.add(organization, secret)
	return err
}

func draw(kind domain.TokenKind) (domain.TokenID, domain.Secret, error) {
	id := domain.TokenID{ID: domain.RandomID()}
	secret, err := domain.NewSecret(kind, id, rand.Reader)
	return id, secret, err
}

// lines is the file of secrets: organization, blank, secret.
type lines struct {
	mu sync.Mutex
	to *bufio.Writer
}

func (l *lines) add(organization int, secret domain.Secret) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.to, organization, secret.Reveal()) // close reports what failed
}

func (l *lines) close(file *os.File) error {
	if err := l.to.Flush(); err != nil {
		return err
	}
	return file.Close()
}
