package projections

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"jeton/eventstore"
)

// emailColumn reads a column with an e-mail, which stands there sealed (Vault.Conceal). list
// opens it on its way; of who was erased there is a pseudonym.
type emailColumn struct{ into *string }

// Scan implements sql.Scanner.
func (p emailColumn) Scan(column any) error {
	var s sql.NullString
	err := s.Scan(column)
	*p.into = s.String
	return err
}

// concealed reads a column with JSON that stands there sealed. Of who was erased there is
// nothing.
type concealed struct {
	text string
	into any
	key  *string // takes the name of the key, if anybody asks for it
}

// Scan implements sql.Scanner.
func (c *concealed) Scan(column any) error { return emailColumn{&c.text}.Scan(column) }

// revealing opens what rows have sealed, each text once: most rows of a list are by the
// same few people.
type revealing struct {
	vault *eventstore.Vault
	known map[string]string
}

// all opens the fields of one row.
func (r revealing) all(ctx context.Context, fields []any) (err error) {
	for _, field := range fields {
		switch field := field.(type) {
		case emailColumn:
			err = r.one(ctx, field.into)
		case *concealed:
			err = field.open(ctx, r.vault)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r revealing) one(ctx context.Context, text *string) error {
	if *text == "" {
		return nil
	}
	clear, known := r.known[*text]
	if !known {
		var err error
		if clear, err = r.vault.Reveal(ctx, *text); err != nil && !errors.Is(err, eventstore.ErrErased) {
			return err
		}
		r.known[*text] = clear
	}
	*text = clear
	return nil
}

func (c *concealed) open(ctx context.Context, vault *eventstore.Vault) error {
	if key, _, sealed := strings.Cut(c.text, " "); sealed && c.key != nil {
		*c.key = key
	}
	clear, err := vault.Reveal(ctx, c.text)
	if errors.Is(err, eventstore.ErrErased) || clear == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(clear), c.into)
}
