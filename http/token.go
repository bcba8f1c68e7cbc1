package http

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// Token is a token as people see it: everything but its secret. It is exported
// because huma looks into exported fields only.
type Token struct {
	ID             string             `json:"id" doc:"The token's id, for ever." example:"0123456789abcdef"`
	Number         domain.Position    `json:"number" doc:"The token's number, for clients that need one." example:"42"`
	Name           string             `json:"name,omitempty" doc:"Unique among the live tokens of its holder." example:"laptop"`
	Kind           string             `json:"kind" enum:"personal,administrative,service" doc:"Whether it belongs to a member, to the organization or to a service account."`
	Description    string             `json:"description,omitempty" doc:"What it is for."`
	Status         projections.Status `json:"status" enum:"active,waiting,expired,revoked" doc:"How it stands now. waiting: for approval."`
	Blocked        domain.Reason      `json:"blocked,omitempty" doc:"Why it opens nothing although it is active: its holder is suspended, the policy blocks it, its time has not begun."`
	Suspended      bool               `json:"suspended,omitempty" doc:"Its holder is suspended: it opens nothing meanwhile."`
	Prefix         string             `json:"prefix" doc:"How its secret begins." example:"jtn_pat_0123456789abcdef"`
	Holder         *person            `json:"holder,omitempty" doc:"Whom a personal token belongs to."`
	ServiceAccount *program           `json:"service_account,omitempty" doc:"What a service token belongs to."`
	Grant          *Grant             `json:"grant,omitempty" doc:"What it was given; absent: all that its holder may do, or what administrative tokens may."`
	Networks       []string           `json:"networks,omitempty" doc:"From where it works; absent: from anywhere the policy allows."`
	NotBefore      domain.Instant     `json:"not_before,omitzero" format:"date-time" doc:"When its time begins."`
	Limit          *Limit             `json:"limit,omitempty" doc:"How often it may be used; absent: as the organization has it."`
	Everywhere     bool               `json:"everywhere,omitempty" doc:"It follows its holder into every organization they belong to."`
	ExpiresAt      domain.Instant     `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
	ExpiresInDays  *int               `json:"expires_in_days,omitempty" doc:"How many whole days are left of it; absent: it does not end, or has ended."`
	CreatedAt      domain.Instant     `json:"created_at,omitzero" format:"date-time" doc:"When it was made."`
	CreatedBy      *author            `json:"created_by,omitempty" doc:"Who made it."`
	RotatedAt      domain.Instant     `json:"rotated_at,omitzero" format:"date-time" doc:"When it got its present secret, if that is not its first."`
	PreviousEndsAt domain.Instant     `json:"previous_expires_at,omitzero" format:"date-time" doc:"Until when its secret from before still works; absent: it does not."`
	ReusedAt       domain.Instant     `json:"reused_at,omitzero" format:"date-time" doc:"When somebody last showed a secret that was rotated out."`
	Approval       *waiting           `json:"approval,omitempty" doc:"What it waits for."`
	LastUsedAt     domain.Instant     `json:"last_used_at,omitzero" format:"date-time" doc:"When it was last used, to the minute or, if the policy says so, to the day; absent: never, as far as it is known."`
	RevokedAt      domain.Instant     `json:"revoked_at,omitzero" format:"date-time" doc:"When it was revoked."`
	RevokedBy      *author            `json:"revoked_by,omitempty" doc:"Who revoked it."`
	Reason         string             `json:"reason,omitempty" doc:"Why it was revoked."`
	Version        domain.Position    `json:"version" doc:"The number inside its ETag. Using a token does not change it."`
}

// program is a service account as others see it.
type program struct {
	ID   domain.Position `json:"id" doc:"The number of the service account." example:"12"`
	Name string          `json:"name,omitempty" doc:"What it is called." example:"deploy"`
}

// waiting is what a token waits for.
type waiting struct {
	RequestedBy *author        `json:"requested_by" doc:"Who asked for it: somebody else decides."`
	Until       domain.Instant `json:"until" format:"date-time" doc:"Until when it can be approved."`
}

// TokenPage is a token with all that is known of it. It is exported because huma
// looks into exported fields only.
type TokenPage struct {
	Token
	Allows []string `json:"allows" nullable:"false" doc:"What it may do now; if on is there, on these resources only."`
	On     []string `json:"on,omitempty" doc:"The resources that it, or its service account, is limited to."`
	CutOff []cut    `json:"cut_off,omitempty" doc:"What it was given and cannot do now."`
	Usage  *usage   `json:"usage,omitempty" doc:"How it was used; absent: it was not, as far as it is known."`
}

// cut is what a token was given and cannot do.
type cut struct {
	Permission string `json:"permission" doc:"The name of the permission, or of the role."`
	Why        string `json:"why" enum:"holder,retired,role" doc:"holder: whoever holds it may not do that. retired: there is no such permission any more. role: there is no such role any more."`
}

// tokenCreated is a new token with its secret.
type tokenCreated struct {
	Token
	Secret string `json:"secret,omitempty" doc:"What its bearer shows. It is shown this once." example:"jtn_pat_…"`
}

// Terms is what a token is to be bound to. It is exported because huma looks into
// exported fields only.
type Terms struct {
	Grant     *Grant   `json:"grant,omitempty" doc:"What it is given: never more than you may do yourself. Absent: all that its holder may do; of an administrative token: to ask about tokens and to revoke personal ones."`
	Networks  []string `json:"networks,omitempty" maxItems:"50" doc:"From where it works. Whoever checks it must then say where its bearer is." example:"[\"10.0.0.0/8\"]"`
	NotBefore string   `json:"not_before,omitempty" doc:"When its time begins, in RFC 3339." example:"2027-01-01T00:00:00Z"`
	Limit     *Limit   `json:"limit,omitempty" doc:"How often it may be used: not more often than the organization allows."`
}

type newToken struct {
	Name           string `json:"name" minLength:"1" maxLength:"100" doc:"Unique among the live tokens of its holder." example:"laptop"`
	Kind           string `json:"kind" enum:"personal,administrative,service" doc:"personal: yours. administrative: the organization's; admins and owners make them. service: of a service account."`
	ServiceAccount string `json:"service_account,omitempty" maxLength:"20" doc:"With the kind service: the number of the service account." example:"12"`
	NewTokenOf
}

type newServiceToken struct {
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"Unique among the live tokens of its service account." example:"prod"`
	NewTokenOf
}

// NewTokenOf is what a new token can have whoever holds it. It is exported because
// huma looks into exported fields only.
type NewTokenOf struct {
	Description string `json:"description,omitempty" maxLength:"1000" doc:"What it is for."`
	Everywhere  bool   `json:"everywhere,omitempty" doc:"For personal tokens: it follows you into every organization that you belong to or are added to, by whomever. Who runs one of these sees the secret when it is used there, and can use it in all others. Without it the token works in this organization only."`
	Terms
	Expiry
}

type tokenChange struct {
	Name        *string   `json:"name,omitempty" minLength:"1" maxLength:"100" doc:"What it is called from now on."`
	Description *string   `json:"description,omitempty" maxLength:"1000" doc:"What it is for, from now on."`
	Grant       *Grant    `json:"grant,omitempty" doc:"What it is given from now on: all of it. Nothing of the old grant is left."`
	Networks    *[]string `json:"networks,omitempty" maxItems:"50" doc:"From where it works from now on; empty: from anywhere."`
	NotBefore   *string   `json:"not_before,omitempty" doc:"When its time begins, in RFC 3339; empty: it has begun."`
	Limit       *Limit    `json:"limit,omitempty" doc:"How often it may be used from now on; {}: as the organization has it."`
	Expiry
}

// InToken is a token in a path.
type InToken struct {
	InOrganization
	ID string `path:"id" doc:"The token's id." example:"0123456789abcdef"`
}

// TokensQuery says which tokens a list shows.
type TokensQuery struct {
	Kind           string `query:"kind" enum:"personal,administrative,service" doc:"Only tokens of this kind."`
	Status         string `query:"status" enum:"active,waiting,expired,revoked,all" default:"all" doc:"Only tokens that stand so now."`
	Holder         string `query:"holder" maxLength:"20" doc:"Only tokens of the member with this number, or of me." example:"me"`
	ServiceAccount string `query:"service_account" maxLength:"20" doc:"Only tokens of the service account with this number." example:"12"`
	ExpiresWithin  string `query:"expires_within" maxLength:"40" doc:"Only live tokens that end within this time." example:"30d"`
	UnusedFor      string `query:"unused_for" maxLength:"40" doc:"Only live tokens that were not used for this time." example:"90d"`
	Q              string `query:"q" maxLength:"100" doc:"Only tokens with this in their names, in whatever case."`
}

// tokens answers GET /api/v1/organizations/{org}/tokens, the newest first. Who may
// not read those of others sees their own.
func (s *Server) tokens(ctx context.Context, c Caller, in *struct {
	InOrganization
	TokensQuery
	PageQuery
},
) (*pageAnswer[Token], error) {
	filter, some, err := s.tokenFilter(c, in.TokensQuery)
	if err != nil {
		return nil, err
	}
	if !some {
		return &pageAnswer[Token]{Body: page[Token]{Items: []Token{}}}, nil
	}
	return s.tokenList(ctx, in.PageQuery, filter)
}

func (s *Server) tokenList(ctx context.Context, q PageQuery, filter projections.TokenFilter) (*pageAnswer[Token], error) {
	ask := func(ctx context.Context, before domain.Position, limit int) ([]projections.TokenRow, error) {
		filter.Before, filter.Limit = before, limit
		return s.Views.Tokens(ctx, filter)
	}
	return listing(ctx, q, "tokens", ask, func(row projections.TokenRow) (Token, domain.Position) {
		return s.describeToken(row), row.Number
	})
}

// tokenFilter is what the caller wants to see of what they may see. some is false
// if that can be no token at all.
func (s *Server) tokenFilter(c Caller, q TokensQuery) (f projections.TokenFilter, some bool, err error) {
	f = projections.TokenFilter{Organization: c.Organization, Name: q.Q, Now: domain.At(s.now())}
	f.Kind, _ = domain.ParseTokenKind(q.Kind) // none, or one that huma has let through
	if q.Status != "all" {
		f.Status = projections.Status(q.Status)
	}
	if err := q.moments(&f); err != nil {
		return f, false, err
	}
	self, all := c.Actor().Account, c.Granted.Has(domain.TokensReadAny)
	switch {
	case q.Holder == "me":
		f.Holder = self
	case q.Holder != "":
		f.Holder = s.accountNumbered(q.Holder)
	case q.ServiceAccount != "":
		f.Holder, _ = s.Model.ServiceAccountNumbered(c.Organization, position(q.ServiceAccount))
	case !all:
		f.Holder = self
	default:
		return f, true, nil
	}
	return f, !f.Holder.IsZero() && (f.Holder == self || all), nil
}

// moments are the times that a list chooses by.
func (q TokensQuery) moments(f *projections.TokenFilter) error {
	within, err := length("expires_within", q.ExpiresWithin)
	if err != nil {
		return inQuery(err)
	}
	unused, err := length("unused_for", q.UnusedFor)
	if err != nil {
		return inQuery(err)
	}
	if (within != 0 || unused != 0) && f.Status == projections.AnyStatus {
		f.Status = projections.Active
	}
	if within != 0 {
		f.ExpiresBefore = f.Now + within.Instant()
	}
	if unused != 0 {
		f.UsedBefore = f.Now - unused.Instant()
	}
	return nil
}

// token answers GET /api/v1/organizations/{org}/tokens/{id}: all that is known of
// it, what of its grant is cut off and why, and how it was used.
func (s *Server) token(ctx context.Context, c Caller, in *InToken) (*answer[TokenPage], error) {
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
	used, err := s.usageOf(ctx, c.Organization, id)
	if err != nil {
		return nil, err
	}
	return &answer[TokenPage]{ETag: etag(row.Changed), Body: s.describePage(row, used)}, nil
}

func (s *Server) describePage(row projections.TokenRow, used *usage) TokenPage {
	standing, _ := s.Model.Standing(row.Organization, row.ID)
	body := TokenPage{Token: s.describeToken(row), Allows: standing.Allows, On: listOf[string](standing.On), Usage: used}
	for _, c := range standing.Cut {
		body.CutOff = append(body.CutOff, cut{c.Permission, c.Why})
	}
	if !standing.Active() {
		body.Allows = []string{}
	}
	used.narrow(body.Allows)
	return body
}

// mayRead refuses whoever may read their own tokens only, and not this one.
func (s *Server) mayRead(c Caller, t domain.Token) error {
	if !t.Holder.IsZero() && t.Holder == c.Actor().Account {
		return nil
	}
	return s.Model.Allows(c.Meta(), domain.TokensReadAny)
}

// tokenCreate answers POST /api/v1/organizations/{org}/tokens.
func (s *Server) tokenCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newToken
},
) (*created[tokenCreated], error) {
	return s.issueToken(ctx, c, in.meta(c), in.Body)
}

// serviceTokenCreate answers POST /api/v1/organizations/{org}/service-accounts/{id}/tokens.
func (s *Server) serviceTokenCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	ID string `path:"id" doc:"The number of the service account." example:"12"`
	Once
	Body newServiceToken
},
) (*created[tokenCreated], error) {
	wanted := newToken{in.Body.Name, domain.Service.String(), in.ID, in.Body.NewTokenOf}
	return s.issueToken(ctx, c, in.meta(c), wanted)
}

// serviceTokens answers GET /api/v1/organizations/{org}/service-accounts/{id}/tokens,
// the newest first.
func (s *Server) serviceTokens(ctx context.Context, c Caller, in *struct {
	InOrganization
	ID     string `path:"id" doc:"The number of the service account." example:"12"`
	Status string `query:"status" enum:"active,waiting,expired,revoked,all" default:"all" doc:"Only tokens that stand so now."`
	PageQuery
},
) (*pageAnswer[Token], error) {
	id, _, err := s.serviceAccountNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	filter := projections.TokenFilter{Organization: c.Organization, Holder: id, Now: domain.At(s.now())}
	if in.Status != "all" {
		filter.Status = projections.Status(in.Status)
	}
	return s.tokenList(ctx, in.PageQuery, filter)
}

func (s *Server) issueToken(ctx context.Context, c Caller, meta domain.Meta, wanted newToken) (*created[tokenCreated], error) {
	command, secret, err := s.issue(c, wanted)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, meta, command)
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
func (s *Server) issue(c Caller, wanted newToken) (command domain.IssueToken, secret domain.Secret, err error) {
	command = domain.IssueToken{
		Token: domain.TokenID{ID: domain.RandomID()}, Name: wanted.Name, Description: wanted.Description, Unbound: wanted.Everywhere,
	}
	if command.Kind, err = domain.ParseTokenKind(wanted.Kind); err != nil {
		return command, secret, err
	}
	if command.Holder, err = s.issuedFor(c, command.Kind, wanted.ServiceAccount); err != nil {
		return command, secret, err
	}
	if command.Terms, err = wanted.terms(); err != nil {
		return command, secret, err
	}
	if command.Expires, command.Never, err = wanted.expires(s.now()); err != nil {
		return command, secret, err
	}
	secret, err = domain.NewSecret(command.Kind, command.Token, rand.Reader)
	command.Hash = secret.Hash()
	return command, secret, err
}

// issuedFor is the service account that a token is for.
func (s *Server) issuedFor(c Caller, kind domain.TokenKind, number string) (id domain.AccountID, err error) {
	if (kind == domain.Service) != (number != "") {
		return id, domain.Invalid("service_account", "does not go with the kind", "give the number of a service account with the kind service, and only then")
	}
	if kind != domain.Service {
		return id, nil
	}
	id, _, err = s.serviceAccountNumbered(c, number)
	return id, err
}

// terms is what is wanted, as the domain has it.
func (t Terms) terms() (terms domain.Terms, err error) {
	terms.Grant = t.Grant.grant()
	if terms.Networks, err = networks(t.Networks); err != nil {
		return terms, err
	}
	if t.NotBefore != "" {
		if terms.NotBefore, err = moment("not_before", t.NotBefore); err != nil {
			return terms, err
		}
	}
	terms.Limit, err = t.Limit.limit("limit")
	return terms, err
}

// tokenMade describes a token that has just been made. What the views do not know
// yet is in the command.
func (s *Server) tokenMade(ctx context.Context, c Caller, o projections.Outcome, command domain.IssueToken) *created[tokenCreated] {
	shown := s.tokenChanged(ctx, c, command.Token)
	if shown.Views == viewsBehind {
		shown.Body.Name, shown.Body.Description = command.Name, command.Description
		shown.Body.CreatedAt, shown.Body.CreatedBy = o.Time, s.actor(c)
	}
	return &created[tokenCreated]{
		Location: tokenPath(c, shown.Body), ETag: shown.ETag, Views: shown.Views, Body: tokenCreated{Token: shown.Body},
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
	command, err := in.Body.command(id, s.now())
	if err != nil {
		return nil, err
	}
	command.Seen = seen
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	changed := s.tokenChanged(ctx, c, id)
	if changed.Views == viewsBehind {
		changed.Body.Name, changed.Body.Description = value(command.Name), value(command.Description)
	}
	return changed, nil
}

// command is the change as the domain has it.
func (wanted tokenChange) command(id domain.TokenID, now time.Time) (command domain.UpdateToken, err error) {
	command = domain.UpdateToken{Token: id, Name: wanted.Name, Description: wanted.Description}
	if wanted.Grant != nil {
		grant := wanted.Grant.grant()
		command.Grant = &grant
	}
	if wanted.Networks != nil {
		all, err := networks(*wanted.Networks)
		if err != nil {
			return command, err
		}
		command.Networks = &all
	}
	if wanted.NotBefore != nil {
		command.NotBefore = new(domain.Instant)
		if *wanted.NotBefore != "" {
			if *command.NotBefore, err = moment("not_before", *wanted.NotBefore); err != nil {
				return command, err
			}
		}
	}
	if command.Limit, err = wanted.Limit.change("limit"); err != nil {
		return command, err
	}
	command.Expires, err = wanted.moved(now)
	return command, err
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
	remembered := s.rememberedToken(c, id)
	return shown(ctx, s, remembered, remembered.Version, func() (Token, domain.Position, error) {
		row, err := s.Views.Token(ctx, c.Organization, id)
		return s.describeToken(row), row.Changed, err
	})
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
	account, _ := s.Model.ServiceAccount(c.Organization, t.Holder)
	body := Token{
		ID: id.String(), Number: t.Number, Kind: t.Kind.String(), Suspended: member.Suspended || account.Disabled,
		Prefix: prefix(t.Kind, id), ExpiresAt: t.Expires, Everywhere: t.Unbound, Version: t.Changed,
	}
	switch t.Kind {
	case domain.Personal:
		body.Holder = s.person(t.Holder)
	case domain.Service:
		body.ServiceAccount = &program{ID: account.Number}
	}
	s.stand(&body, c.Organization, id)
	return body
}

// stand adds how a token stands at this moment, which only the model knows.
func (s *Server) stand(body *Token, org domain.OrganizationID, id domain.TokenID) {
	standing, known := s.Model.Standing(org, id)
	if !known {
		return
	}
	now := domain.At(s.now())
	t := standing.Token
	if body.Status = statusOf(t, now); body.Status == projections.Active {
		body.Blocked = standing.Reason
	}
	if days := t.Expires - now; t.Expires != 0 && body.Status == projections.Active {
		left := int(days / (24 * 60 * 60 * 1000))
		body.ExpiresInDays = &left
	}
	body.Grant, body.NotBefore = describeGrant(standing.Terms.Grant), standing.Terms.NotBefore
	body.Networks, body.Limit = some(describeNetworks(standing.Terms.Networks)), describeLimit(standing.Terms.Limit)
	body.PreviousEndsAt, body.ReusedAt = standing.Until, standing.Seen
	body.LastUsedAt = s.shownUse(org, standing.Used)
	if t.Rotated {
		body.RotatedAt = t.Issued
	}
}

// shownUse is when a token was used, as exactly as the policy lets it be seen.
func (s *Server) shownUse(org domain.OrganizationID, used domain.Instant) domain.Instant {
	policy, _ := s.Model.Policy(org)
	return lastUsed(used, policy.UsedByDay)
}

func statusOf(t domain.Token, now domain.Instant) projections.Status {
	switch {
	case t.Revoked:
		return projections.Revoked
	case !t.Live(now):
		return projections.Expired
	case t.Waiting:
		return projections.Waiting
	}
	return projections.Active
}

func (s *Server) describeToken(row projections.TokenRow) Token {
	body := Token{
		ID: row.ID.String(), Number: row.Number, Name: row.Name, Kind: row.Kind.String(), Description: row.Description,
		Suspended: row.Suspended, Prefix: prefix(row.Kind, row.ID), Everywhere: row.Unbound,
		ExpiresAt: row.Expires, CreatedAt: row.Issued, CreatedBy: s.author(row.Organization, row.IssuedBy), Version: row.Changed,
	}
	switch row.Kind {
	case domain.Personal:
		body.Holder = &person{row.HolderNumber, row.HolderEmail}
	case domain.Service:
		body.ServiceAccount = &program{row.HolderNumber, row.HolderName}
	}
	if row.Revoked != 0 {
		body.RevokedAt, body.RevokedBy, body.Reason = row.Revoked, s.author(row.Organization, row.RevokedBy), row.Reason
	}
	s.stand(&body, row.Organization, row.ID)
	if body.Status == projections.Waiting {
		body.Approval = &waiting{s.author(row.Organization, row.RequestedBy), row.Waiting}
	}
	return body
}

// prefix is the public beginning of a secret; see domain.Secret.
func prefix(kind domain.TokenKind, id domain.TokenID) string {
	return fmt.Sprintf("jtn_%s_%s", kind.Prefix(), id)
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
