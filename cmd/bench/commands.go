package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// commandsAtOnce is how many commands or publishes are measured in a turn. Turns
// are short and many, because a shared disk has good and bad seconds.
const commandsAtOnce = 50

// commands measures durable commands of one writer against raw publishes of the
// same bytes to a stream of the same kind, in turn, on the same disk.
func (b bench) commands(ctx context.Context) error {
	dir, err := os.MkdirTemp(filepath.Dir(b.Dir), "commands-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := commandBench{}
	if err := c.start(ctx, dir); err != nil {
		return err
	}
	defer c.server.Close()
	var ours, bare []float64
	for range 10 * b.Rounds {
		data, took, err := c.execute(ctx)
		if err != nil {
			return err
		}
		ours = append(ours, rate(commandsAtOnce, took))
		took, err = c.publish(ctx, data)
		if err != nil {
			return err
		}
		bare = append(bare, rate(commandsAtOnce, took))
	}
	seen, err := c.visible(ctx, dir, b.Rounds)
	if err != nil {
		return err
	}
	return report(
		row{"(c) durable commands of one writer over raw publishes", ratio(ours, bare), "≥ 0.85", fmt.Sprintf("%s over %s; both wait for the disk each time", spread(ours), spread(bare))},
		row{"the same, answered when SQL has it too", spread(seen), "", "SQLite"},
	)
}

type commandBench struct {
	server *eventstore.Embedded
	store  *eventstore.JetStream
	vault  *eventstore.Vault
	model  *projections.Model
	org    domain.OrganizationID
	actor  domain.Actor
	made   int
	from   domain.Meta // where commands come from: address and agent
	last   []projections.Outcome

	published uint64 // the last of the raw publishes
}

func (c *commandBench) start(ctx context.Context, dir string) (err error) {
	c.server, err = eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir})
	if err != nil {
		return err
	}
	if c.store, err = eventstore.Create(ctx, c.server.JetStream(), 1); err != nil {
		return err
	}
	keys, err := eventstore.OpenKeys(ctx, c.store)
	if err != nil {
		return err
	}
	if c.vault, err = eventstore.OpenVault(ctx, keys, eventstore.NewMaster()); err != nil {
		return err
	}
	c.model = projections.NewModel(c.store, c.vault, time.Now)
	go func() { _ = c.model.Run(ctx) }() // Loaded reports what is wrong
	if err := c.model.Loaded(ctx); err != nil {
		return err
	}
	return c.found(ctx)
}

func (c *commandBench) found(ctx context.Context) error {
	c.org = domain.OrganizationID{ID: domain.RandomID()}
	id, secret, err := draw(domain.Personal)
	if err != nil {
		return err
	}
	_, err = c.model.ExecuteDirectory(ctx, domain.Meta{Organization: c.org, Actor: domain.Actor{Kind: domain.ActorSystem}}, domain.Found{
		Organization: c.org, Alias: "bench", Name: "Bench", Account: domain.AccountID{ID: domain.RandomID()},
		Email: "root@bench.test", First: domain.FirstToken{Token: id, Hash: secret.Hash()},
	})
	if err != nil {
		return err
	}
	root, err := c.model.Check(secret.Reveal(), projections.Use{})
	if err != nil {
		return err
	}
	c.actor = root.Actor()
	return makeRoom(ctx, c.model, c.org, c.actor)
}

// execute issues tokens one after the other and answers the bytes of each commit.
func (c *commandBench) execute(ctx context.Context) (data [][]byte, took time.Duration, err error) {
	commands := make([]domain.IssueToken, commandsAtOnce)
	for i := range commands {
		id, secret, err := draw(domain.Personal)
		if err != nil {
			return nil, 0, err
		}
		c.made++
		commands[i] = domain.IssueToken{Token: id, Kind: domain.Personal, Name: fmt.Sprint("ci ", c.made), Hash: secret.Hash()}
	}
	outcomes := make([]projections.Outcome, len(commands))
	began := time.Now()
	for i, command := range commands {
		meta := domain.Meta{Organization: c.org, Actor: c.actor, Address: c.from.Address, Agent: c.from.Agent}
		if outcomes[i], err = c.model.Execute(ctx, meta, command); err != nil {
			return nil, 0, err
		}
	}
	took, c.last = time.Since(began), outcomes
	for _, o := range outcomes {
		sealed, err := c.vault.Sealed(ctx, o.Commit)
		if err != nil {
			return nil, 0, err
		}
		entry, err := eventstore.Encode(sealed)
		if err != nil {
			return nil, 0, err
		}
		data = append(data, entry.Data)
	}
	return data, took, nil
}

// publish stores the same bytes, headers included, with the client's library alone.
func (c *commandBench) publish(ctx context.Context, data [][]byte) (time.Duration, error) {
	js := c.server.JetStream()
	_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: "RAW", Subjects: []string{"raw.>"}, Storage: jetstream.FileStorage, MaxMsgs: -1,
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for _, d := range data {
		ack, err := js.PublishMsg(ctx, &nats.Msg{Subject: "raw.organization", Data: d},
			jetstream.WithMsgID(domain.RandomCommandID().String()), jetstream.WithExpectLastSequencePerSubject(c.published))
		if err != nil {
			return 0, err
		}
		c.published = ack.Sequence
	}
	return time.Since(began), nil
}

// visible is execute with the wait for SQL that the API has.
func (c *commandBench) visible(ctx context.Context, dir string, rounds int) (rates []float64, err error) {
	views, err := projections.OpenViews(ctx, "sqlite:"+filepath.Join(dir, "views.db"), c.vault)
	if err != nil {
		return nil, err
	}
	defer views.Close()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- views.Run(running, c.store, c.store.StoreID()) }()
	defer func() { stop(); <-ended }()
	if err := views.Wait(ctx, c.model.Position()); err != nil {
		return nil, err
	}
	for range rounds {
		began := time.Now()
		for range commandsAtOnce {
			if err := c.seen(ctx, views); err != nil {
				return nil, err
			}
		}
		rates = append(rates, rate(commandsAtOnce, time.Since(began)))
	}
	return rates, nil
}

func (c *commandBench) seen(ctx context.Context, views *projections.Views) error {
	id, secret, err := draw(domain.Personal)
	if err != nil {
		return err
	}
	c.made++
	outcome, err := c.model.Execute(ctx, domain.Meta{Organization: c.org, Actor: c.actor},
		domain.IssueToken{Token: id, Kind: domain.Personal, Name: fmt.Sprint("ci ", c.made), Hash: secret.Hash()})
	if err != nil {
		return err
	}
	return views.Wait(ctx, outcome.Position)
}
