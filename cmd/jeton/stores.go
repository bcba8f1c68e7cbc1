package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"jeton/eventstore"
	"jeton/projections"
)

// Stores are a platform's log and views, in the data directory or elsewhere.
type Stores struct {
	Config  Config
	Version string
	Log     zerolog.Logger
	// Accept takes the log as it is, although the views or the directory's mark
	// remember another.
	Accept bool

	// Set by Open.
	Store      *eventstore.JetStream
	Views      *projections.Views
	Vault      *eventstore.Vault // of the people's keys
	Remembered eventstore.Head   // how far the views ever were

	before   eventstore.Head // of the views that were set aside
	storeID  string          // of the log that the views were made from
	embedded *eventstore.Embedded
	conn     *nats.Conn
	js       jetstream.JetStream
	lock     *flock.Flock
	claim    *claim

	keys    eventstore.Keys
	quick   bool                   // the log is to be filled from a copy, fast; see fill
	filling *eventstore.Unfinished // set by Open if so
}

// Open opens the log and the views and refuses what does not belong together. A
// platform that has no log yet gets one if it may; whoever called founds it then
// and calls Keep, and if anything fails before that, Close leaves nothing behind
// in the data directory.
func (s *Stores) Open(ctx context.Context, may founding) error {
	err := s.open(ctx, may)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// founding says whether a platform may, must or must not be new.
type founding int

const (
	mayFound founding = iota
	mustFound
	mustNotFound
)

func (s *Stores) open(ctx context.Context, may founding) error {
	s.Vault = new(eventstore.Vault)
	known, err := s.openData(ctx, may)
	if err != nil {
		return err
	}
	if err := s.openServer(ctx); err != nil {
		return err
	}
	if err := s.openViews(ctx); err != nil {
		return err
	}
	if err := s.openLog(ctx, known, may); err != nil {
		return err
	}
	if err := s.compare(known); err != nil {
		return err
	}
	if s.quick { // the keys are still to come
		return nil
	}
	return s.unlock(ctx)
}

// compare refuses a log that is not the one of the directory or of the views.
func (s *Stores) compare(known *mark) error {
	id := s.Store.StoreID()
	switch {
	case known != nil && known.StoreID != id && s.Accept:
		known.StoreID = id
		return s.directory().writeMark(*known)
	case known != nil && known.StoreID != id:
		return &eventstore.Damage{Position: 1, What: fmt.Sprintf("%s belongs to the log %s, and this is the log %s", s.Config.Data, known.StoreID, id)}
	case s.storeID != "" && s.storeID != id && s.filling != nil:
		return coded{errors.New("the database has the views of another platform; name an empty one"), exitConflict}
	case s.storeID != "" && s.storeID != id:
		return &eventstore.Damage{Position: 1, What: fmt.Sprintf("the views were made from the log %s, and this is the log %s", s.storeID, id)}
	}
	return nil
}

func (s *Stores) directory() directory { return directory(s.Config.Data) }

// openData takes the data directory, if anything is kept there, and answers the
// mark of one that was used before.
func (s *Stores) openData(ctx context.Context, may founding) (*mark, error) {
	if !s.Config.usesData() {
		return nil, nil
	}
	known, err := s.directory().mark()
	switch {
	case err != nil:
		return nil, err
	case known == nil && may == mustNotFound:
		return nil, coded{fmt.Errorf("%s is no data directory: it has no %s", s.Config.Data, markFile), exitNotFound}
	case known == nil || may == mustFound:
		s.claim, err = s.directory().claim()
	}
	if err == nil && (s.Config.NATS != "" || s.Accept) {
		err = s.takeData(ctx)
	}
	return known, err
}

// takeData locks the directory where the embedded server will not, or not yet.
func (s *Stores) takeData(ctx context.Context) (err error) {
	if s.lock, err = s.directory().take(); err != nil || !s.Accept {
		return err
	}
	if err := s.setAside(ctx, time.Now()); err != nil || s.Config.NATS != "" {
		return err
	}
	defer func() { s.lock = nil }()
	return s.lock.Unlock() // the server locks it itself
}

// openServer starts the embedded server or connects to those elsewhere.
func (s *Stores) openServer(ctx context.Context) (err error) {
	if s.Config.NATS == "" {
		s.embedded, err = eventstore.StartEmbedded(eventstore.EmbeddedConfig{
			Dir: s.Config.Data, LoseAcknowledgedWritesOnPowerFailure: s.quick, Log: s.Log.Level(max(zerolog.WarnLevel, s.Log.GetLevel())).With().Str("part", "nats").Logger(),
		})
		if errors.Is(err, eventstore.ErrLocked) {
			return s.directory().inUse()
		}
		if err == nil {
			s.js = s.embedded.JetStream()
		}
		return err
	}
	err = s.insist(ctx, "the log", func() (err error) {
		s.conn, err = eventstore.Connect(s.Config.NATS, s.Config.NATSCredentials)
		return err
	})
	if err == nil {
		s.js, err = jetstream.New(s.conn)
	}
	return err
}

func (s *Stores) openViews(ctx context.Context) error {
	return s.insist(ctx, "the views", func() (err error) {
		if s.Views == nil {
			if s.Views, err = projections.OpenViews(ctx, s.Config.database(), s.Vault); err != nil {
				s.Views = nil
				return err
			}
		}
		s.Remembered, s.storeID, err = s.Views.Remembered(ctx)
		return err
	})
}

// openLog opens the log, or makes one where no one knows of an older one.
func (s *Stores) openLog(ctx context.Context, known *mark, may founding) error {
	return s.insist(ctx, "the log", func() (err error) {
		if s.quick {
			return s.fill(ctx)
		}
		s.Store, err = eventstore.Open(ctx, s.js)
		if errors.Is(err, eventstore.ErrUnfinished) {
			return coded{fmt.Errorf("%w\n  next: run jeton restore or jeton repair again, as it was run", err), exitConflict}
		}
		if !errors.Is(err, eventstore.ErrNoLog) {
			return err
		}
		switch {
		case known != nil:
			return &eventstore.Damage{Position: 1, What: fmt.Sprintf("the whole log is gone: %s belongs to the log %s, and there is none", s.Config.Data, known.StoreID)}
		case s.storeID != "":
			return &eventstore.Damage{Position: 1, What: fmt.Sprintf("the whole log is gone: the views were made from the log %s, and there is none", s.storeID)}
		case may == mustNotFound:
			return coded{err, exitNotFound}
		}
		return s.create(ctx)
	})
}

// create makes the log. Another server may be doing the same.
func (s *Stores) create(ctx context.Context) (err error) {
	replicas := s.Config.Replicas
	if s.embedded != nil {
		replicas = 1
	}
	s.Store, err = eventstore.Create(ctx, s.js, replicas)
	if errors.Is(err, eventstore.ErrLogExists) {
		s.Store, err = eventstore.Open(ctx, s.js)
	}
	return err
}

// retryPause is between two tries to reach what is elsewhere.
const retryPause = time.Second

// insist repeats what fails until StartTimeout is over, if what it wants may be
// elsewhere. What will not get better by itself is not repeated.
func (s *Stores) insist(ctx context.Context, what string, do func() error) error {
	for end := time.Now().Add(s.Config.StartTimeout); ; {
		err := do()
		if err == nil || s.final(err) || time.Now().Add(retryPause).After(end) {
			return err
		}
		s.Log.Warn().Err(err).Msgf("%s can't be opened yet", what)
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Stores) final(err error) bool {
	var damage *eventstore.Damage
	var c coded
	local := s.Config.NATS == "" && s.Config.Database == ""
	return local || errors.Is(err, eventstore.ErrMaster) || errors.Is(err, errMasterLost) || errors.As(err, &damage) || errors.As(err, &c) || errors.Is(err, context.Canceled)
}

// Keep gives a new data directory its mark. Before that it is as if it had never
// been.
func (s *Stores) Keep(now time.Time) error {
	if s.claim == nil {
		return nil
	}
	err := s.claim.finish(mark{Format: markFormat, StoreID: s.Store.StoreID(), Created: now.UTC().Truncate(time.Second), Version: s.Version})
	if err == nil {
		s.claim = nil
	}
	return err
}

// Healthy says why the log can't be written.
func (s *Stores) Healthy(ctx context.Context) error {
	if s.embedded != nil {
		if err := s.embedded.Health(); err != nil {
			return err
		}
	}
	return s.Store.Healthy(ctx)
}

// Close gives everything back: what follows the log has ended by now. The lock
// goes last.
func (s *Stores) Close() (err error) {
	if s.Views != nil {
		err = errors.Join(err, s.Views.Close())
	}
	if s.conn != nil {
		s.conn.Close()
	}
	if s.embedded != nil {
		err = errors.Join(err, s.embedded.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Unlock())
	}
	if s.claim != nil {
		err = errors.Join(err, s.claim.abandon())
	}
	s.Views, s.conn, s.embedded, s.lock, s.claim = nil, nil, nil, nil, nil
	return err
}

// lead is a model of the platform, and what runs it: until ctx ends, or the log
// turns out to be damaged.
func (s *Stores) lead(ctx context.Context, now func() time.Time) (m *projections.Model, run func() error) {
	m = projections.NewModel(s.Store, s.Vault, now)
	return m, func() error { return m.Run(ctx, s.remembered()...) }
}

// with loads the platform into memory, which checks the log, and lets do use it.
func (s *Stores) with(ctx context.Context, do func(context.Context, *projections.Model) error) error {
	ctx, stop := context.WithCancel(ctx)
	model, run := s.lead(ctx, time.Now)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = run() }() // the model says the same
	defer func() { stop(); <-ended }()
	if err := model.Loaded(ctx); err != nil {
		return err
	}
	return do(ctx, model)
}

func (s *Stores) remembered() []eventstore.Head {
	if s.Remembered.Position == 0 {
		return nil
	}
	return []eventstore.Head{s.Remembered}
}
