package eventstore

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"jeton/domain"
)

// What is personal is the e-mail of whom an event registers, and where a request came
// from: its address, and what the program calls itself. An e-mail is sealed with the key
// of its account; where a request came from with the key of whoever acted, a person or
// a service account, else with that of the organization, else of the platform. Each is
// bound to its commit and to what it is there, so that nothing can be moved.
//
// Networks in policies and terms are what an organization demands, names of tokens and
// reasons are what people write for others, and facts of records are what programs
// send: they are in clear and stay when a person is erased.

// PlatformKey seals what belongs to no person and to no organization.
const PlatformKey = "platform"

const (
	accountKey      = "account-"
	organizationKey = "organization-"
)

// AccountKey is the name of the key of a person, or of a service account.
func AccountKey(id domain.AccountID) string { return accountKey + id.String() }

// OrganizationKey is the name of the key of an organization.
func OrganizationKey(id domain.OrganizationID) string { return organizationKey + id.String() }

// HolderKey is the name of the key that seals what an account does in an organization.
func HolderKey(account domain.AccountID, org domain.OrganizationID) string {
	switch {
	case !account.IsZero():
		return AccountKey(account)
	case !org.IsZero():
		return OrganizationKey(org)
	}
	return PlatformKey
}

// Pseudonym is what is left of the e-mail of a person who was erased.
func Pseudonym(id domain.AccountID) string { return pseudonym(AccountKey(id)) }

func pseudonym(key string) string {
	id, _ := strings.CutPrefix(key, accountKey)
	return "erased-" + id[:min(len(id), 8)]
}

// sealing is how sealed texts are written into JSON and tables.
var sealing = base64.RawStdEncoding

func occasionOf(c domain.CommandID) string { return "occasion-" + c.String() }

func emailOf(c domain.CommandID) string { return "email-" + c.String() }

// checkSealed refuses what would be stored in clear beside what is sealed, or lost.
func checkSealed(c domain.Commit) error {
	clear := c.Agent != "" || c.Sealed.From != "" && c.Address != ""
	for _, e := range c.Events {
		if e, is := e.(domain.AccountRegistered); is && len(c.Sealed.People) > 0 {
			clear = clear || e.Email != ""
		}
	}
	if clear {
		return errors.New("encode a commit: what is personal in it is not sealed")
	}
	return nil
}

// Sealed is a commit as it is to be stored: without what is personal in clear. Keys that
// it needs are made, and are on disk by then. Of who was erased meanwhile nothing is kept.
func (v *Vault) Sealed(ctx context.Context, c domain.Commit) (domain.Commit, error) {
	if versionOf(c) == sealedVersion {
		return c, nil
	}
	if c.Address != "" || c.Agent != "" {
		from, err := v.sealText(ctx, HolderKey(c.Actor.Account, c.Organization), occasionOf(c.Command), whence(c.Address, c.Agent))
		if err != nil && !errors.Is(err, ErrErased) {
			return c, err
		}
		c.Address, c.Agent, c.Sealed.From = "", "", from
	}
	err := registrations(&c, func(_ int, e *domain.AccountRegistered) error {
		sealed, err := v.sealText(ctx, AccountKey(e.Account), emailOf(c.Command), []byte(e.Email))
		c.Sealed.People, e.Email = append(c.Sealed.People, sealed), ""
		return err
	})
	return c, err
}

// Opened is a commit as it was before it was sealed. Who was erased has a pseudonym for an
// e-mail, and has come from nowhere; so they do in commits of version 1, which were
// stored in clear. What is not as Sealed has made it is Damage.
func (v *Vault) Opened(ctx context.Context, c domain.Commit) (domain.Commit, error) {
	c, err := v.OpenedEvents(ctx, c)
	if err != nil {
		return c, err
	}
	return v.openedOccasion(ctx, c)
}

// openedOccasion is a commit that says where its request came from.
func (v *Vault) openedOccasion(ctx context.Context, c domain.Commit) (domain.Commit, error) {
	key := HolderKey(c.Actor.Account, c.Organization)
	if c.Sealed.From == "" {
		if c.Address != "" && v.Erased(key) {
			c.Address = ""
		}
		return c, nil
	}
	text, err := v.openText(ctx, key, occasionOf(c.Command), c.Sealed.From)
	if err != nil && !errors.Is(err, ErrErased) {
		return c, misplaced(c, err)
	}
	c.Address, c.Agent = fromWhence(text)
	c.Sealed.From = ""
	return c, nil
}

// OpenedEvents is Opened for who does not ask where requests came from: state is made of
// events alone, and a start reads them all.
func (v *Vault) OpenedEvents(ctx context.Context, c domain.Commit) (domain.Commit, error) {
	if len(c.Sealed.People) == 0 && !slices.ContainsFunc(c.Events, registers) {
		return c, nil
	}
	return v.revealed(c, func(e *domain.AccountRegistered, sealed string) (string, error) {
		text, err := v.openText(ctx, AccountKey(e.Account), emailOf(c.Command), sealed)
		return string(text), err
	})
}

// Carried is a commit as tables take it: what is personal in its events is sealed in
// references, which Reveal reads wherever they are. Where its request came from is in
// clear, to be made a mark of; no table has a column for it.
func (v *Vault) Carried(ctx context.Context, c domain.Commit) (domain.Commit, error) {
	c, err := v.openedOccasion(ctx, c)
	if err != nil {
		return c, err
	}
	if len(c.Sealed.People) == 0 { // it was stored in clear, or registers nobody
		err := registrations(&c, func(_ int, e *domain.AccountRegistered) error {
			concealed, err := v.Conceal(ctx, AccountKey(e.Account), emailOf(c.Command), e.Email)
			e.Email = cmp.Or(concealed, Pseudonym(e.Account))
			return err
		})
		return c, err
	}
	return v.revealed(c, func(e *domain.AccountRegistered, sealed string) (string, error) {
		return reference(AccountKey(e.Account), emailOf(c.Command), sealed), nil
	})
}

// revealed puts e-mails into the events of a commit that have none.
func (v *Vault) revealed(c domain.Commit, reveal func(e *domain.AccountRegistered, sealed string) (string, error)) (domain.Commit, error) {
	sealed := c.Sealed.People
	n := 0
	err := registrations(&c, func(i int, e *domain.AccountRegistered) (err error) {
		n++
		switch key := AccountKey(e.Account); {
		case i < len(sealed) && e.Email == "":
			e.Email, err = reveal(e, sealed[i])
			if errors.Is(err, ErrErased) {
				e.Email, err = pseudonym(key), nil
			}
		case len(sealed) > 0:
			err = ErrSealed
		case v.Erased(key):
			e.Email = pseudonym(key)
		}
		return err
	})
	if err == nil && len(sealed) > 0 && n != len(sealed) {
		err = ErrSealed
	}
	if err != nil {
		return c, misplaced(c, err)
	}
	c.Sealed.People = nil
	return c, nil
}

func registers(e domain.Event) bool { _, is := e.(domain.AccountRegistered); return is }

// registrations changes the events of a commit that register people, each with how many
// of them stand before it. Whoever else has the commit does not notice.
func registrations(c *domain.Commit, change func(i int, e *domain.AccountRegistered) error) error {
	events, n := c.Events, 0
	for i, e := range events {
		registered, is := e.(domain.AccountRegistered)
		if !is {
			continue
		}
		if err := change(n, &registered); err != nil {
			return err
		}
		if n++; n == 1 {
			c.Events = slices.Clone(events)
		}
		c.Events[i] = registered
	}
	return nil
}

// misplaced is the error of a commit that can't be opened.
func misplaced(c domain.Commit, err error) error {
	if errors.Is(err, ErrSealed) {
		return &Damage{c.Position, "what is personal in the commit was changed or belongs to another one"}
	}
	return fmt.Errorf("open commit %d: %w", c.Position, err)
}

// whence is an address and an agent as one text: the length of the address, and both.
func whence(address, agent string) []byte {
	text := binary.AppendUvarint(make([]byte, 0, 2+len(address)+len(agent)), uint64(len(address)))
	return append(append(text, address...), agent...)
}

func fromWhence(text []byte) (address, agent string) {
	n, size := binary.Uvarint(text)
	if size <= 0 || n > uint64(len(text)-size) {
		return "", ""
	}
	rest := text[size:]
	return string(rest[:n]), string(rest[n:])
}

// Conceal is a reference to a text that it holds sealed: the name of the key, where it
// belongs (a word), and the sealed text, with blanks between. An empty text stays empty,
// and of what was erased nothing is kept.
func (v *Vault) Conceal(ctx context.Context, key, where, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	sealed, err := v.sealText(ctx, key, where, []byte(text))
	switch {
	case errors.Is(err, ErrErased):
		return "", nil
	case err != nil:
		return "", err
	}
	return reference(key, where, sealed), nil
}

func reference(key, where, sealed string) string { return key + " " + where + " " + sealed }

// Reveal reads what Conceal has made; anything else is as it stands. ErrErased comes with
// the pseudonym of the person whose text it was.
func (v *Vault) Reveal(ctx context.Context, text string) (string, error) {
	key, rest, is := strings.Cut(text, " ")
	where, sealed, also := strings.Cut(rest, " ")
	if !is || !also {
		return text, nil
	}
	clear, err := v.openText(ctx, key, where, sealed)
	if errors.Is(err, ErrErased) {
		return pseudonym(key), err
	}
	return string(clear), err
}

func (v *Vault) sealText(ctx context.Context, key, where string, text []byte) (string, error) {
	sealed, err := v.Seal(ctx, key, text, []byte(where))
	return sealing.EncodeToString(sealed), err
}

func (v *Vault) openText(ctx context.Context, key, where, text string) ([]byte, error) {
	sealed, err := sealing.DecodeString(text)
	if err != nil {
		return nil, ErrSealed
	}
	return v.Open(ctx, key, sealed, []byte(where))
}
