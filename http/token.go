package http

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"

	"jeton/domain"
	"jeton/projections"
)

// Token is a token as people see it: everything but its secret. It is exported
// because huma looks into exported fields only.
type Token struct {
	ID          string             `json:"id" doc:"The token's id, for ever." example:"0123456789abcdef"`
	Number      domain.Position    `json:"number" doc:"The token's number, for clients that need one." example:"42"`
	Name        string             `json:"name,omitempty" doc:"Unique among the live tokens of its holder." example:"laptop"`
	Kind        string             `json:"kind" enum:"personal,administrative" doc:"Whether it belongs to a member or to the organization."`
	Description string             `json:"description,omitempty" doc:"What it is for."`
	Status      projections.Status `json:"status" enum:"active,expired,revoked" doc:"How it stands now."`
	Suspended   bool               `json:"suspended,omitempty" doc:"Its holder is suspended: it opens nothing meanwhile."`
	Prefix      string             `json:"prefix" doc:"How its secret begins." example:"jtn_pat_0123456789abcdef"`
	Holder      *person            `json:"holder,omitempty" doc:"Whom it belongs to; absent: the organization."`
	ExpiresAt   domain.Instant     `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
	CreatedAt   domain.Instant     `json:"created_at,omitzero" format:"date-time" doc:"When it was made."`
	CreatedBy   *author            `json:"created_by,omitempty" doc:"Who made it."`
	RevokedAt   domain.Instant     `json:"revoked_at,omitzero" format:"date-time" doc:"When it was revoked."`
	RevokedBy   *author            `json:"revoked_by,omitempty" doc:"Who revoked it."`
	Reason      string             `json:"reason,omitempty" doc:"Why it was revoked."`
	Version     domain.Position    `json:"version" doc:"The number inside its ETag."`
}

// tokenCreated is a new token with its secret.
type tokenCreated struct {
	Token
	Secret string `json:"secret,omitempty" doc:"What its bearer shows. It is shown this once." example:"jtn_pat_…"`
}

type newToken struct {
	Name        string `json:"name" minLength:"1" maxLength:"100" doc:"Unique among the live tokens of its holder." example:"laptop"`
	Kind        string `json:"kind" enum:"personal,administrative" doc:"personal: yours. administrative: the organization's; admins and owners make them."`
	Description string `json:"description,omitempty" maxLength:"1000" doc:"What it is for."`
	Expiry
}

type tokenChange struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"100" doc:"What it is called from now on."`
	Description *string `json:"description,omitempty" maxLength:"1000" doc:"What it is for, from now on."`
}

// InToken is a token in a path.
type InToken struct {
	InOrganization
	ID string `path:"id" doc:"The token's id." example:"0123456789abcdef"`
}

// TokensQuery says which tokens a list shows.
type TokensQuery struct {
	Kind   string `query:"kind" enum:"personal,administrative" doc:"Only tokens of this kind."`
	Status string `query:"status" enum:"active,expired,revoked,all" default:"all" doc:"Only tokens that stand so now."`
	Holder string `query:"holder" maxLength:"20" doc:"Only tokens of the member with this number, or of me." example:"me"`
	Q      string `query:"q" maxLength:"100" doc:"Only tokens with this in their names, in whatever case."`
}

// tokens answers GET /api/v1/organizations/{org}/tokens, the newest first. Who may
// not read those of others sees their own.
func (s *Server) tokens(ctx context.Context, c Caller, in *struct {
	InOrganization
	TokensQuery
	PageQuery
},
) (*pageAnswer[Token], error) {
	filter, some := s.tokenFilter(c, in.TokensQuery)
	ask := func(ctx context.Context, before domain.Position, limit int) ([]projections.TokenRow, error) {
		if !some {
			return nil, nil
		}
		filter.Before, filter.Limit = before, limit
		return s.Views.Tokens(ctx, filter)
	}
	return listing(ctx, in.PageQuery, "tokens", ask, func(row projections.TokenRow) (Token, domain.Position) {
		return s.describeToken(row), row.Number
	})
}

// tokenFilter is what the caller wants to see of what they may see. some is false
// if that can be no token at all.
func (s *Server) tokenFilter(c Caller, q TokensQuery) (f projections.TokenFilter, some bool) {
	f = projections.TokenFilter{Organization: c.Organization, Name: q.Q, Now: domain.At(s.now())}
	f.Kind, _ = domain.ParseTokenKind(q.Kind) // none, or one that huma has let through
	if q.Status != "all" {
		f.Status = projections.Status(q.Status)
	}
	self := c.Actor().Account
	switch {
	case q.Holder == "me":
		f.Holder = self
	case q.Holder != "":
		f.Holder = s.accountNumbered(q.Holder)
	case !c.Granted.Has(domain.TokensReadAny):
		f.Holder = self
	default:
		return f, true
	}
	return f, !f.Holder.IsZero() && (f.Holder == self || c.Granted.Has(domain.TokensReadAny))
}

// token answers GET /api/v1/organizations/{org}/tokens/{id}.
func (s *Server) token(ctx context.Context, c Caller, in *InToken) (*answer[Token], error) {
	id, known, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(c, known); err != nil {
		return nil, err
	}
	if s.settled(ctx, known.Changed) != "" {
		return nil, projections.ErrViews
	}
	row, err := s.Views.Token(ctx, c.Organization, id)
	if err != nil {
		return nil, err
	}
	return &answer[Token]{ETag: etag(row.Changed), Body: s.describeToken(row)}, nil
}

// mayRead refuses whoever may read their own tokens only, and not this one.
func (s *Server) mayRead(c Caller, t domain.Token) error {
	if t.Kind == domain.Personal && t.Holder == c.Actor().Account {
		return nil
	}
	return s.Model.Allows(c.Organization, c.Actor(), domain.TokensReadAny)
}

// tokenCreate answers POST /api/v1/organizations/{org}/tokens.
func (s *Server) tokenCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newToken
},
) (*created[tokenCreated], error) {
	command, secret, err := s.issue(in.Body)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, in.meta(c), command)
	if err != nil {
		return nil, err
	}
	if outcome.Replayed {
		return s.tokenReplayed(ctx, c, outcome.Position)
	}
	answer := s.tokenMade(ctx, c, outcome, command)
	answer.Body.Secret = secret.Reveal()
	return answer, nil
}

// issue is the command for a wanted token, and the secret that it is to have.
func (s *Server) issue(wanted newToken) (command domain.IssueToken, secret domain.Secret, err error) {
	command = domain.IssueToken{Token: domain.TokenID{ID: domain.RandomID()}, Name: wanted.Name, Description: wanted.Description}
	if command.Kind, err = domain.ParseTokenKind(wanted.Kind); err != nil {
		return command, secret, err
	}
	if command.Expires, command.Never, err = wanted.expires(s.now()); err != nil {
		return command, secret, err
	}
	secret, err = domain.NewSecret(command.Kind, command.Token, rand.Reader)
	command.Hash = secret.Hash()
	return command, secret, err
}

// tokenMade describes a token from the commit that made it; nobody else need be
// asked.
func (s *Server) tokenMade(ctx context.Context, c Caller, o projections.Outcome, command domain.IssueToken) *created[tokenCreated] {
	body := s.rememberedToken(c, command.Token)
	body.Name, body.Description = command.Name, command.Description
	body.CreatedAt, body.CreatedBy = o.Time, s.actor(c)
	return &created[tokenCreated]{
		Location: tokenPath(c, body), ETag: etag(body.Version), Views: s.settled(ctx, o.Position),
		Body: tokenCreated{Token: body},
	}
}

// tokenReplayed describes the token that the same request made before. Its secret
// is gone.
func (s *Server) tokenReplayed(ctx context.Context, c Caller, number domain.Position) (*created[tokenCreated], error) {
	id, known := s.Model.TokenNumbered(c.Organization, number)
	if !known {
		return nil, domain.Refuse(domain.ErrNotFound, "there is no such token", "look at the list of tokens")
	}
	made, _ := s.Model.Token(c.Organization, id)
	if err := s.mayRead(c, made); err != nil { // they may have been an admin then
		return nil, err
	}
	shown := s.tokenChanged(ctx, c, id)
	return &created[tokenCreated]{
		Location: tokenPath(c, shown.Body), ETag: shown.ETag, Views: shown.Views, Replayed: replayed(true),
		Body: tokenCreated{Token: shown.Body},
	}, nil
}

func tokenPath(c Caller, t Token) string {
	return "/api/v1/organizations/" + c.Alias + "/tokens/" + t.ID
}

// tokenUpdate answers PATCH /api/v1/organizations/{org}/tokens/{id}.
func (s *Server) tokenUpdate(ctx context.Context, c Caller, in *struct {
	InToken
	IfMatch
	Body tokenChange
},
) (*answer[Token], error) {
	id, _, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	command := domain.UpdateToken{Token: id, Name: in.Body.Name, Description: in.Body.Description, Seen: seen}
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	changed := s.tokenChanged(ctx, c, id)
	if changed.Views == viewsBehind {
		changed.Body.Name, changed.Body.Description = value(command.Name), value(command.Description)
	}
	return changed, nil
}

func value(text *string) string { return *cmp.Or(text, new(string)) }

// tokenRevoke answers DELETE /api/v1/organizations/{org}/tokens/{id}: the token as
// it stands now. What is revoked already stays as it is.
func (s *Server) tokenRevoke(ctx context.Context, c Caller, in *struct {
	InToken
	IfMatch
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log." example:"leaked"`
},
) (*answer[Token], error) {
	id, _, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.RevokeToken{Token: id, Reason: in.Reason, Seen: seen})
	if err != nil {
		return nil, err
	}
	changed := s.tokenChanged(ctx, c, id)
	if changed.Views == viewsBehind && len(outcome.Events) > 0 {
		changed.Body.RevokedAt, changed.Body.RevokedBy, changed.Body.Reason = outcome.Time, s.actor(c), in.Reason
	}
	return changed, nil
}

// tokenChanged shows a token after a command: as the views have it, or as the
// model does while the views are behind.
func (s *Server) tokenChanged(ctx context.Context, c Caller, id domain.TokenID) *answer[Token] {
	body := s.rememberedToken(c, id)
	behind := s.settled(ctx, body.Version)
	if behind == "" {
		row, err := s.Views.Token(ctx, c.Organization, id)
		if err == nil {
			body = s.describeToken(row)
		} else {
			behind = viewsBehind
		}
	}
	return &answer[Token]{ETag: etag(body.Version), Views: behind, Body: body}
}

// tokenOf is the token of the caller's organization that has an id. Another
// organization's, one that nobody has and what is no id are not found alike.
func (s *Server) tokenOf(c Caller, text string) (domain.TokenID, domain.Token, error) {
	parsed, err := domain.ParseID(text)
	id := domain.TokenID{ID: parsed}
	token, known := s.Model.Token(c.Organization, id)
	if err != nil || !known {
		return id, token, domain.Refuse(domain.ErrNotFound, "there is no such token", "look at the list of tokens")
	}
	return id, token, nil
}

// rememberedToken is what the model knows of a token.
func (s *Server) rememberedToken(c Caller, id domain.TokenID) Token {
	t, _ := s.Model.Token(c.Organization, id)
	member, _ := s.Model.Member(c.Organization, t.Holder)
	body := Token{
		ID: id.String(), Number: t.Number, Kind: t.Kind.String(), Suspended: member.Suspended,
		Status: statusOf(t, domain.At(s.now())), Prefix: prefix(t.Kind, id), ExpiresAt: t.Expires, Version: t.Changed,
	}
	if t.Kind == domain.Personal {
		body.Holder = s.person(t.Holder)
	}
	return body
}

func statusOf(t domain.Token, now domain.Instant) projections.Status {
	switch {
	case t.Revoked:
		return projections.Revoked
	case !t.Live(now):
		return projections.Expired
	}
	return projections.Active
}

func (s *Server) describeToken(row projections.TokenRow) Token {
	body := Token{
		ID: row.ID.String(), Number: row.Number, Name: row.Name, Kind: row.Kind.String(), Description: row.Description,
		Status: row.Status(domain.At(s.now())), Suspended: row.Suspended, Prefix: prefix(row.Kind, row.ID),
		ExpiresAt: row.Expires, CreatedAt: row.Issued, CreatedBy: s.author(row.Organization, row.IssuedBy), Version: row.Changed,
	}
	if row.Kind == domain.Personal {
		body.Holder = &person{row.HolderNumber, row.HolderEmail}
	}
	if row.Revoked != 0 {
		body.RevokedAt, body.RevokedBy, body.Reason = row.Revoked, s.author(row.Organization, row.RevokedBy), row.Reason
	}
	return body
}

// prefix is the public beginning of a secret; see domain.Secret.
func prefix(kind domain.TokenKind, id domain.TokenID) string {
	short := map[domain.TokenKind]string{domain.Personal: "pat", domain.Administrative: "adm"}
	return fmt.Sprintf("jtn_%s_%s", short[kind], id)
}

// newFirstToken is the token that a new member begins with.
func newFirstToken() (first domain.FirstToken, secret domain.Secret, err error) {
	first.Token = domain.TokenID{ID: domain.RandomID()}
	secret, err = domain.NewSecret(domain.Personal, first.Token, rand.Reader)
	first.Hash = secret.Hash()
	return first, secret, err
}

// issuedBy is the token that a command has just made. A replayed one has made
// none: its secret is gone.
func issuedBy(o projections.Outcome) (domain.TokenIssued, bool) {
	for _, e := range o.Events {
		if issued, ok := e.(domain.TokenIssued); ok {
			return issued, true
		}
	}
	return domain.TokenIssued{}, false
}
