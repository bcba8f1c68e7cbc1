package http

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// labToken is a row of the view api_tokens. Its times for people are in UTC; a
// token that never expires has null there.
type labToken struct {
	ID               domain.Position `json:"id"`
	OrgID            domain.Position `json:"org_id"`
	Name             string          `json:"name"`
	IsPersonal       bool            `json:"is_personal"`
	Username         string          `json:"username"` // who made it
	CreatedAt        domain.Instant  `json:"created_at"`
	CreatedFormatted string          `json:"created_formatted"`
	ExpiresAt        *domain.Instant `json:"expires_at"`
	ExpiresFormatted *string         `json:"expires_formatted"`
}

func labTokenOf(row projections.TokenRow, organization domain.Position) labToken {
	t := labToken{
		ID: row.Number, OrgID: organization, Name: row.Name, IsPersonal: row.Kind == domain.Personal,
		// The first token of all was made by nobody.
		Username:  cmp.Or(row.IssuedBy.Email, row.HolderEmail),
		CreatedAt: row.Issued, CreatedFormatted: row.Issued.Time().Format(time.DateTime),
	}
	if row.Expires != 0 {
		expires := row.Expires.Time().Format(time.DateTime)
		t.ExpiresAt, t.ExpiresFormatted = &row.Expires, &expires
	}
	return t
}

// labTokens answers GET api_tokens: the live tokens that the caller may see, the
// youngest first. The list has no column for it, so what is revoked or expired is
// not in it.
func (s *Server) labTokens(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labToken, error], error) {
	f := projections.TokenFilter{Organization: c.Organization, Status: projections.Active, Now: domain.At(s.now()), Before: q.before}
	if !c.Granted.Has(domain.TokensReadAny) {
		if err := s.Model.Allows(c.Meta(), domain.TokensReadOwn); err != nil {
			return nil, err
		}
		f.Holder = c.Token.Holder
	}
	return labMapped(s.tokensDown(ctx, f), func(row projections.TokenRow) labToken { return labTokenOf(row, c.Number) }), nil
}

// tokensDown are the tokens that a filter chooses, the youngest first.
func (s *Server) tokensDown(ctx context.Context, f projections.TokenFilter) iter.Seq2[projections.TokenRow, error] {
	f.Limit = labPage
	return labPaged(func() ([]projections.TokenRow, error) { return s.Views.Tokens(ctx, f) },
		func(row projections.TokenRow) { f.Before = row.Number })
}

// labTokenCreate asks for a token. The console leaves is_personal out where
// everybody may make a token, so a token is personal unless it says otherwise.
type labTokenCreate struct {
	labCaller
	Name       *string          `json:"name"`
	Expires    *string          `json:"expires"`
	OrgID      *domain.Position `json:"org_id"`
	IsPersonal *bool            `json:"is_personal"`
}

// labTokenCreated is the new token's row, and the secret, this once.
type labTokenCreated struct {
	labToken
	Token string `json:"token"`
}

// labTokenCreate answers rpc/api_token_create.
func (s *Server) labTokenCreate(ctx context.Context, c Caller, asked labTokenCreate) (any, error) {
	expires, err := asked.check(c)
	if err != nil {
		return nil, err
	}
	command := domain.IssueToken{Token: domain.TokenID{ID: domain.RandomID()}, Kind: asked.kind(), Name: *asked.Name, Expires: expires}
	secret, err := domain.NewSecret(command.Kind, command.Token, rand.Reader)
	if err != nil {
		return nil, err
	}
	command.Hash = secret.Hash()
	done, err := s.Model.Execute(ctx, c.Meta(), command)
	if err != nil {
		return nil, labTimestamp(err)
	}
	s.settled(ctx, done.Position)
	row := projections.TokenRow{
		Number: done.Position, Name: command.Name, Kind: command.Kind, Issued: done.Time, Expires: expires,
		IssuedBy: projections.Author{Email: c.Account.Email},
	}
	return labTokenCreated{labTokenOf(row, c.Number), secret.Reveal()}, nil
}

// check refuses what is missing, and a secret where everybody would read it. An
// organization that is not the caller's does not exist for them.
func (asked labTokenCreate) check(c Caller) (expires domain.Instant, err error) {
	switch {
	case asked.Name == nil:
		return 0, domain.Invalid("name", "is missing", "give the token a name")
	case wholeSecret.MatchString(*asked.Name):
		return 0, domain.Invalid("name", "has the secret of a token in it", "revoke that token, and choose another name")
	case asked.OrgID == nil:
		return 0, domain.Invalid("org_id", "is missing", "send the number of your organization")
	case asked.Expires == nil:
		return 0, domain.Invalid("expires", "a timestamp is missing", labExpiresNext)
	case *asked.OrgID != c.Number:
		return 0, labElsewhere(c, *asked.OrgID)
	}
	return labExpires(*asked.Expires)
}

func (asked labTokenCreate) kind() domain.TokenKind {
	if asked.IsPersonal != nil && !*asked.IsPersonal {
		return domain.Administrative
	}
	return domain.Personal
}

// labExpiresNext says how an expiry is written.
const labExpiresNext = "write it like 2027-11-22, 20271122T235959-0330 or 2027-11-22T23:59:59Z"

// labExpiryLayouts are how an expiry may be written. The console sends the first:
// the end of the chosen day somewhere half an hour off.
var labExpiryLayouts = []string{"20060102T150405Z0700", time.RFC3339, labDay}

const labDay = time.DateOnly

// labExpires reads an expiry. A day ends at its end, in UTC. What the calendar
// does not have is refused and never becomes the day after: the console makes
// 29 February of a year that has none by counting up a year.
func labExpires(text string) (domain.Instant, error) {
	for _, layout := range labExpiryLayouts {
		t, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if layout == labDay {
			t = t.Add(24*time.Hour - time.Second)
		}
		// 0 would be no expiry, and the beginning of 1970 is one that has passed.
		return cmp.Or(domain.At(t), -1), nil
	}
	return 0, domain.Invalid("expires", "this is not a timestamp", labExpiresNext)
}

// labTimestamp puts the word timestamp into what the domain says about an expiry:
// the console looks for it in errors.
func labTimestamp(err error) error {
	var refusal *domain.Refusal
	if errors.As(err, &refusal) && refusal.Field == "expires_at" {
		return domain.Invalid("expires", "the timestamp %s", refusal.Next, refusal.Detail)
	}
	return err
}

// labTokenRevoke asks for the end of a token.
type labTokenRevoke struct {
	labCaller
	ID *domain.Position `json:"id"`
}

// labTokenRevoked says that a token opens nothing any more.
type labTokenRevoked struct {
	ID      domain.Position `json:"id"`
	Revoked bool            `json:"revoked"`
}

// labTokenRevoke answers rpc/api_token_revoke. The console lets everybody press
// that button; who may is the command's to decide, also about a token that the
// organization does not have: whoever may not look at it learns nothing.
func (s *Server) labTokenRevoke(ctx context.Context, c Caller, asked labTokenRevoke) (any, error) {
	if asked.ID == nil {
		return nil, domain.Invalid("id", "is missing", "send the number of the token")
	}
	id, _ := s.Model.TokenNumbered(c.Organization, *asked.ID)
	done, err := s.Model.Execute(ctx, c.Meta(), domain.RevokeToken{Token: id})
	if err != nil {
		return nil, err
	}
	s.settled(ctx, done.Position)
	return labTokenRevoked{*asked.ID, true}, nil
}
