package http

import (
	"context"
	"fmt"

	"jeton/domain"
	"jeton/projections"
)

// Member is a member as others in the organization see them. It is exported
// because huma looks into exported fields only.
type Member struct {
	ID        domain.Position `json:"id" doc:"The number of the account, in every organization the same." example:"7"`
	Email     string          `json:"email" doc:"The e-mail, as it was registered." example:"mia@acme.test"`
	Role      string          `json:"role" doc:"What they may do: the name of a role." example:"member"`
	Suspended bool            `json:"suspended" doc:"Whether they and their tokens can do nothing at the moment."`
	Reason    string          `json:"reason,omitempty" doc:"Why they are suspended."`
	Limit     *Limit          `json:"limit,omitempty" doc:"How often all their tokens together may be used here; absent: as the organization has it."`
	AddedAt   domain.Instant  `json:"added_at,omitzero" format:"date-time" doc:"When they came into the organization."`
	Version   domain.Position `json:"version" doc:"The number inside the ETag."`
}

// memberCreated is a new member with their first token.
type memberCreated struct {
	Member
	Token          string         `json:"token,omitempty" doc:"The secret of their first personal token. It is shown this once." example:"jtn_pat_…"`
	TokenID        string         `json:"token_id,omitempty" doc:"The id of that token."`
	TokenExpiresAt domain.Instant `json:"token_expires_at,omitzero" format:"date-time" doc:"When that token ends."`
}

type newMember struct {
	Email string `json:"email" maxLength:"254" doc:"Who is to come in. They need no account." example:"mia@acme.test"`
	Role  string `json:"role" maxLength:"40" doc:"What they may do: the name of a role that allows nothing that you may not do yourself." example:"member"`
	Expiry
}

type memberChange struct {
	Role      *string `json:"role,omitempty" maxLength:"40" doc:"What they may do from now on: the name of a role that allows nothing that you may not do yourself." example:"member"`
	Suspended *bool   `json:"suspended,omitempty" doc:"true suspends them and all their tokens here, false ends that."`
	Reason    string  `json:"reason,omitempty" maxLength:"1000" doc:"Why they are suspended."`
	Limit     *Limit  `json:"limit,omitempty" doc:"How often all their tokens together may be used here; {}: as the organization has it."`
}

// InMember is a member in a path.
type InMember struct {
	InOrganization
	ID string `path:"id" doc:"The number of the member's account." example:"7"`
}

// members answers GET /api/v1/organizations/{org}/members, in the order of accounts.
func (s *Server) members(ctx context.Context, c Caller, in *struct {
	InOrganization
	PageQuery
},
) (*pageAnswer[Member], error) {
	ask := func(ctx context.Context, after domain.Position, limit int) ([]projections.MemberRow, error) {
		return s.Views.Members(ctx, c.Organization, projections.Page{After: after, Limit: limit})
	}
	return listing(ctx, in.PageQuery, "members", ask, func(row projections.MemberRow) (Member, domain.Position) {
		return describeMember(row), row.Number
	})
}

// member answers GET /api/v1/organizations/{org}/members/{id}.
func (s *Server) member(ctx context.Context, c Caller, in *InMember) (*answer[Member], error) {
	id, known, err := s.memberNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	if s.settled(ctx, known.Changed) != "" {
		return nil, projections.ErrViews
	}
	row, err := s.Views.Member(ctx, c.Organization, id)
	if err != nil {
		return nil, err
	}
	return &answer[Member]{ETag: etag(row.Changed), Body: describeMember(row)}, nil
}

// memberAdd answers POST /api/v1/organizations/{org}/members. Somebody who has no
// account gets one first; it opens nothing by itself.
func (s *Server) memberAdd(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newMember
},
) (*created[memberCreated], error) {
	command, secret, err := s.newMember(ctx, c, in.Body)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, in.meta(c), command)
	if err != nil {
		return nil, err
	}
	return s.memberMade(ctx, c, outcome, command.Account, secret)
}

// newMember is the command of memberAdd, with everything refused that can be
// before the account is registered: what is refused leaves nothing behind.
func (s *Server) newMember(ctx context.Context, c Caller, wanted newMember) (command domain.AddMember, secret domain.Secret, err error) {
	command.Role = domain.Role(wanted.Role)
	if _, err = s.Model.Try(c.Meta(), domain.AddMember{Account: domain.AccountID{ID: domain.RandomID()}, Role: command.Role}); err != nil {
		return command, secret, err
	}
	if command.First, secret, err = s.first(wanted.Expiry); err != nil {
		return command, secret, err
	}
	command.Account, err = s.registered(ctx, c, wanted.Email)
	return command, secret, err
}

// first is the personal token that a new member begins with, if the platform gives
// one.
func (s *Server) first(wanted Expiry) (first domain.FirstToken, secret domain.Secret, err error) {
	expires, err := wanted.first(s.now())
	if err != nil || s.NoFirstTokens {
		return first, secret, err
	}
	first, secret, err = newFirstToken()
	first.Expires = expires
	return first, secret, err
}

// registered is the account of an e-mail, made if there is none: for whoever may
// add them, which was asked before.
func (s *Server) registered(ctx context.Context, c Caller, email string) (domain.AccountID, error) {
	if id, known := s.Model.AccountOf(email); known {
		return id, nil
	}
	_, err := s.Model.ExecuteDirectory(ctx, aboveOrganizations(c.Meta()), domain.RegisterAccount{Account: domain.AccountID{ID: domain.RandomID()}, Email: email})
	id, _ := s.Model.AccountOf(email)
	return id, err
}

// memberMade describes a new member, or (replayed) one who was new then.
func (s *Server) memberMade(ctx context.Context, c Caller, o projections.Outcome, id domain.AccountID, secret domain.Secret) (*created[memberCreated], error) {
	if _, known := s.Model.Member(c.Organization, id); !known {
		return nil, domain.Refuse(domain.ErrNotFound, "the member that this request has added is gone", "send it with a new Idempotency-Key to add them again")
	}
	shown := s.memberChanged(ctx, c, id)
	body := memberCreated{Member: shown.Body}
	if issued, known := issuedBy(o); known {
		body.AddedAt = o.Time
		body.Token, body.TokenID, body.TokenExpiresAt = secret.Reveal(), issued.Token.String(), issued.Expires
	}
	return &created[memberCreated]{
		Location: fmt.Sprintf("/api/v1/organizations/%s/members/%d", c.Alias, body.ID),
		ETag:     shown.ETag, Views: shown.Views, Replayed: replayed(o.Replayed), Body: body,
	}, nil
}

// memberUpdate answers PATCH /api/v1/organizations/{org}/members/{id}.
func (s *Server) memberUpdate(ctx context.Context, c Caller, in *struct {
	InMember
	IfMatch
	Body memberChange
},
) (*answer[Member], error) {
	id, _, err := s.memberNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	command, err := in.Body.command(id)
	if err != nil {
		return nil, err
	}
	if command.Seen, err = in.seen(); err != nil {
		return nil, err
	}
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	return s.memberChanged(ctx, c, id), nil
}

func (wanted memberChange) command(id domain.AccountID) (command domain.UpdateMember, err error) {
	command = domain.UpdateMember{Account: id, Suspended: wanted.Suspended, Reason: wanted.Reason}
	if wanted.Role != nil {
		command.Role = new(domain.Role(*wanted.Role))
	}
	command.Limit, err = wanted.Limit.change("limit")
	return command, err
}

// memberChanged shows a member after a command: as the views have them, or as the
// model does while the views are behind.
func (s *Server) memberChanged(ctx context.Context, c Caller, id domain.AccountID) *answer[Member] {
	remembered := s.rememberedMember(c, id)
	return shown(ctx, s, remembered, remembered.Version, func() (Member, domain.Position, error) {
		row, err := s.Views.Member(ctx, c.Organization, id)
		return describeMember(row), row.Changed, err
	})
}

// memberRemove answers DELETE /api/v1/organizations/{org}/members/{id}.
func (s *Server) memberRemove(ctx context.Context, c Caller, in *struct {
	InMember
	IfMatch
	Reason string `query:"reason" maxLength:"1000" doc:"Why they leave, for the log."`
},
) (*nothing, error) {
	id, _, err := s.memberNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.RemoveMember{Account: id, Reason: in.Reason, Seen: seen})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// memberNumbered is the member of the caller's organization whose account has a
// number. Somebody else's member, a number that nobody has and what is no number
// are not found alike.
func (s *Server) memberNumbered(c Caller, number string) (domain.AccountID, domain.Member, error) {
	id := s.accountNumbered(number)
	member, known := s.Model.Member(c.Organization, id)
	if !known {
		return id, member, domain.Refuse(domain.ErrNotFound, "there is no such member", "look at the list of members")
	}
	return id, member, nil
}

// accountNumbered is the account that has a number, or none.
func (s *Server) accountNumbered(text string) domain.AccountID {
	id, _ := s.Model.AccountNumbered(position(text))
	return id
}

// rememberedMember is what the model knows of a member.
func (s *Server) rememberedMember(c Caller, id domain.AccountID) Member {
	member, _ := s.Model.Member(c.Organization, id)
	account, _ := s.Model.Account(id)
	return Member{ID: account.Number, Email: account.Email, Role: string(member.Role), Suspended: member.Suspended, Limit: describeLimit(member.Limit), Version: member.Changed}
}

func describeMember(row projections.MemberRow) Member {
	return Member{row.Number, row.Email, string(row.Role), row.Suspended, row.Reason, describeLimit(row.Limit), row.Added, row.Changed}
}
