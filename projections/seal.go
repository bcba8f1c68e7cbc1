package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/mod/sumdb/note"

	"jeton/domain"
	"jeton/eventstore"
)

// Sealer signs epochs: what the trees of all organizations are at a moment. Every
// node may have one; of those that seal at once one does. The log keeps the epochs, and
// the views of every node hold them against the log.
type Sealer struct {
	Model *Model
	Views *Views
	Vault *eventstore.Vault // has the signing keys
	Log   string            // the log's id
	Every time.Duration     // how often, if something has happened
}

// SigningKeys are all there were, the oldest first; the last signs.
func (m *Model) SigningKeys() []domain.SigningKey {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	return m.directory.state.SigningKeys
}

// Origin is the name under which the log is signed: its id when its first key was made. A
// log that was restored or repaired has another id and the same history, and is signed
// under the name it had. log is for one that has no key yet.
func (m *Model) Origin(log string) string {
	if keys := m.SigningKeys(); len(keys) > 0 {
		return eventstore.SignedLog(keys[0].Verifier)
	}
	return log
}

// Epoch is the last that was sealed.
func (m *Model) Epoch() domain.Epoch {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	return m.directory.state.Epoch
}

// Run seals every while until ctx ends. What fails is logged, and tried again.
func (s *Sealer) Run(ctx context.Context, log zerolog.Logger) error {
	if err := s.Model.Loaded(ctx); err != nil {
		return nil // Model.Run has said why
	}
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.Seal(ctx); err != nil && ctx.Err() == nil {
			log.Error().Err(err).Msg("the epoch could not be sealed; it is tried again")
		}
	}
}

// Seal signs the next epoch if something has happened that is not signed, as far as the
// views are. A log that has no signing key gets its first.
func (s *Sealer) Seal(ctx context.Context) (sealed bool, err error) {
	if err := s.ensureKey(ctx); err != nil {
		return false, err
	}
	last := s.Model.Epoch()
	at, err := s.Views.Position()
	if err != nil || last.Behind(at) == 0 {
		return false, err
	}
	statement, err := s.Views.next(ctx, at)
	if err != nil || statement.Number != last.Number+1 { // the views do not have the last yet
		return false, err
	}
	statement.Log, statement.Time = s.Model.Origin(s.Log), max(statement.Time, last.Time, domain.At(s.Model.now()))
	text, err := s.sign(ctx, statement, last)
	if err != nil {
		return false, err
	}
	outcome, err := s.Model.ExecuteDirectory(ctx, bySystem, domain.SealEpoch{
		Number: statement.Number, Position: at, Root: domain.Hash(statement.Root), Trees: statement.Trees,
		Note: text, Every: domain.Seconds(s.Every / time.Second),
	})
	return len(outcome.Events) > 0, err
}

var bySystem = domain.Meta{Actor: domain.Actor{Kind: domain.ActorSystem}}

// next is what the next epoch says: of the moment at it has the position, and of
// the epoch before it the time.
func (v *Views) next(ctx context.Context, at domain.Position) (s eventstore.Statement, err error) {
	c, err := readCrown(ctx, v.read)
	if err != nil {
		return s, unavailable(err)
	}
	if c.epoch > 0 {
		if s, err = v.statement(ctx, c.epoch); err != nil {
			return s, err
		}
	}
	if _, err := c.raise(ctx, v.read, at, nil); err != nil {
		return s, unavailable(err)
	}
	past, err := frontierOf(ctx, v.read, epochTree, c.epoch)
	if err != nil {
		return s, unavailable(err)
	}
	s.Number, s.Position, s.Trees, s.Root, s.History = c.epoch+1, at, int64(c.tree.Size()), c.tree.Root(), past.Root()
	return s, nil
}

// sign has the last key sign. The first epoch behind a rotation is signed by the key
// before it, too: so that it is seen that both were in one hand.
func (s *Sealer) sign(ctx context.Context, statement eventstore.Statement, last domain.Epoch) (string, error) {
	keys := s.Model.SigningKeys()
	signing := keys[len(keys)-1:]
	if len(keys) > 1 && signing[0].Set > last.At {
		signing = keys[len(keys)-2:]
	}
	statement.Keys = nil
	var signers []note.Signer
	for _, key := range signing {
		signer, err := s.signer(ctx, key)
		if err != nil {
			return "", err
		}
		signers, statement.Keys = append(signers, signer), append(statement.Keys, key.Number)
	}
	return statement.Sign(signers...)
}

// signer is a key that the log has.
func (s *Sealer) signer(ctx context.Context, key domain.SigningKey) (note.Signer, error) {
	seed, err := s.Vault.Find(ctx, eventstore.SigningKeyName(key.Number))
	if err != nil {
		return nil, fmt.Errorf("signing key %d: %w", key.Number, err)
	}
	signer, public, err := eventstore.NewSigner(seed, s.Model.Origin(s.Log))
	if err == nil && public.Verifier != key.Verifier {
		err = fmt.Errorf("signing key %d: the vault has another one than the log names", key.Number)
	}
	return signer, err
}

// FirstKey makes the key with which a platform begins, and answers its public half.
func (s *Sealer) FirstKey(ctx context.Context) (verifier string, err error) {
	seed, err := s.Vault.Key(ctx, eventstore.SigningKeyName(1))
	if err != nil {
		return "", err
	}
	_, public, err := eventstore.NewSigner(seed, s.Log)
	return public.Verifier, err
}

func (s *Sealer) ensureKey(ctx context.Context) error {
	if len(s.Model.SigningKeys()) > 0 {
		return nil
	}
	verifier, err := s.FirstKey(ctx)
	if err != nil {
		return err
	}
	_, err = s.Model.ExecuteDirectory(ctx, bySystem, domain.SetSigningKey{Verifier: verifier})
	return err
}

// Rotation makes the next key, which the last one endorses. It signs once the command
// is executed.
func (s *Sealer) Rotation(ctx context.Context) (c domain.RotateSigningKey, err error) {
	keys := s.Model.SigningKeys()
	if len(keys) == 0 {
		return c, nil // Decide refuses it
	}
	last := keys[len(keys)-1]
	before, err := s.signer(ctx, last)
	if err != nil {
		return c, err
	}
	c.Number = last.Number + 1
	seed, err := s.Vault.Key(ctx, eventstore.SigningKeyName(c.Number))
	if err != nil {
		return c, err
	}
	_, public, err := eventstore.NewSigner(seed, s.Model.Origin(s.Log))
	if err != nil {
		return c, err
	}
	public.Number = c.Number
	public, err = public.Endorse(before)
	c.Verifier, c.Endorsement = public.Verifier, public.Endorsement
	return c, err
}

// PublicKeys are the public halves of all signing keys, as they are published.
func (m *Model) PublicKeys() []eventstore.PublicKey {
	keys := []eventstore.PublicKey{}
	for _, k := range m.SigningKeys() {
		keys = append(keys, eventstore.PublicKey{Number: k.Number, Verifier: k.Verifier, Endorsement: k.Endorsement})
	}
	return keys
}

const noteOf = `
SELECT note FROM epochs WHERE number = ?`

// statement is what an epoch has said.
func (v *Views) statement(ctx context.Context, epoch int64) (s eventstore.Statement, err error) {
	text, err := v.note(ctx, epoch)
	if err != nil {
		return s, err
	}
	s, err = eventstore.ParseNote(text)
	return s, unavailable(err)
}

func (v *Views) note(ctx context.Context, epoch int64) (text string, err error) {
	return text, unavailable(v.read.QueryRowxContext(ctx, v.read.Rebind(noteOf), epoch).Scan(&text))
}

// Epoch is an epoch as it was signed.
type Epoch struct {
	Number int64
	Note   string
}

func (e *Epoch) fields() []any { return []any{&e.Number, &e.Note} }

const (
	epochsAfter = `
SELECT number, note FROM epochs
WHERE number > ?
ORDER BY number
LIMIT ?`
	newestEpoch = `
SELECT number, note FROM epochs
ORDER BY number DESC
LIMIT 1`
)

// Epochs are those behind a number, the oldest first.
func (v *Views) Epochs(ctx context.Context, after int64, limit int) ([]Epoch, error) {
	return list[Epoch](ctx, v, epochsAfter, after, atMost(limit))
}

// NewestEpoch is the last that was sealed; none is the zero Epoch.
func (v *Views) NewestEpoch(ctx context.Context) (Epoch, error) {
	e, err := one[Epoch](ctx, v, "epoch", newestEpoch)
	if errors.Is(err, domain.ErrNotFound) {
		return Epoch{}, nil
	}
	return e, err
}
