package http

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// AuditQuery says which entries of the audit log are wanted: those that meet all of it.
type AuditQuery struct {
	Actor   string `query:"actor" maxLength:"254" doc:"Who did it: the number of an account or a service account, an e-mail, me, or the id of a token that was shown." example:"me"`
	Action  string `query:"action" maxLength:"100" doc:"What happened: a kind of event, or all that begin with a word." example:"token.*"`
	Target  string `query:"target" maxLength:"254" doc:"To what: an id, a number, a name of a role or a permission, an e-mail."`
	Kind    string `query:"kind" maxLength:"40" doc:"To what kind of thing." example:"token"`
	Outcome string `query:"outcome" enum:"done,refused" doc:"What became of it."`
	Address string `query:"address" maxLength:"45" doc:"Where the request came from." example:"192.0.2.7"`
	Q       string `query:"q" maxLength:"200" doc:"Words that are in the reason or in a name, all of them, in whatever case and order."`
	From    string `query:"from" maxLength:"40" doc:"At this time or later, as RFC 3339 writes it." example:"2027-03-03T14:00:00Z"`
	To      string `query:"to" maxLength:"40" doc:"Before this time."`
	Token   string `query:"token" maxLength:"40" doc:"Done to this token or with it: its id, its number, or the public beginning of its secret without the brand, pat_…. What begins with the brand is refused in every URL."`
	Hash    string `query:"hash" maxLength:"64" doc:"Done to the token, or with it, whose secret has this SHA-256 in hexadecimal, or had it before it was rotated."`
	After   string `query:"after" maxLength:"40" doc:"Only what stands behind this entry or position."`
	Before  string `query:"before" maxLength:"40" doc:"Only what stands before this entry."`
}

// readAuditQuery is what huma does for routes that it mounts. What is not known is
// refused: a filter that was overlooked would show too much.
func readAuditQuery(query url.Values, besides ...string) (q AuditQuery, err error) {
	fields := map[string]*string{
		"actor": &q.Actor, "action": &q.Action, "target": &q.Target, "kind": &q.Kind, "outcome": &q.Outcome, "address": &q.Address, "q": &q.Q,
		"from": &q.From, "to": &q.To, "token": &q.Token, "hash": &q.Hash, "after": &q.After, "before": &q.Before,
	}
	for name, values := range query {
		field, known := fields[name]
		switch {
		case !known && slices.Contains(besides, name):
			continue
		case !known:
			return q, problem(422, "invalid", "there is no such parameter", "see /api/openapi.json for those that there are")
		case len(values) > 1:
			return q, domain.Invalid(name, "is given twice", "give it once")
		case len(values[0]) > domain.MaxEmail:
			return q, domain.Invalid(name, "is too long", "shorten it")
		}
		*field = values[0]
	}
	if q.Outcome != "" && q.Outcome != projections.Done && q.Outcome != projections.RefusedAction {
		return q, domain.Invalid("outcome", "is neither done nor refused", "write done or refused")
	}
	return q, nil
}

// auditFilter finds whom and what a question names. Somebody and something that was
// never here has no entries.
func (s *Server) auditFilter(ctx context.Context, c Caller, q AuditQuery) (f projections.AuditFilter, err error) {
	f = projections.AuditFilter{Organization: c.Organization, Noun: q.Kind, Outcome: q.Outcome}
	s.filterActor(c, q.Actor, &f)
	s.filterTarget(c, q.Target, &f)
	if err := s.filterToken(c, q, &f); err != nil {
		return f, err
	}
	if q.Action != "" {
		if f.Actions = actions(q.Action); len(f.Actions) == 0 {
			f.Nothing = true
		}
	}
	if q.Q != "" {
		if f.Words = projections.AuditWords(q.Q); len(f.Words) == 0 {
			return f, domain.Invalid("q", "has no word in it", "search for words of at least two letters or digits")
		}
	}
	if q.Address != "" {
		if err := s.filterAddress(ctx, c, q.Address, &f); err != nil {
			return f, err
		}
	}
	return f, stretch(q, &f)
}

// stretch is the part of the log in which to look.
func stretch(q AuditQuery, f *projections.AuditFilter) (err error) {
	for name, at := range map[string]struct {
		text string
		into *domain.Instant
	}{"from": {q.From, &f.From}, "to": {q.To, &f.To}} {
		if at.text != "" && at.into.UnmarshalText([]byte(at.text)) != nil {
			return domain.Invalid(name, "is not a time in RFC 3339", "write it like 2027-03-03T14:00:00Z")
		}
	}
	if q.After != "" {
		if f.After, err = projections.ParsePlace(q.After); err != nil {
			return domain.Invalid("after", "is no place in the log", "write the id of an entry, like 120.0, or a position")
		}
	}
	if q.Before != "" {
		if f.Before, err = projections.ParsePlace(q.Before); err != nil || f.Before == 0 {
			return domain.Invalid("before", "is no place in the log", "write the id of an entry, like 120.0")
		}
	}
	return nil
}

// actions are the kinds of events that an action means; none: there are no such.
func actions(text string) (kinds []string) {
	word, many := strings.CutSuffix(text, "*")
	for _, kind := range domain.Kinds() {
		if kind == text || many && strings.HasPrefix(kind, word) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func (s *Server) filterActor(c Caller, text string, f *projections.AuditFilter) {
	id, isID := domain.ParseID(text)
	switch {
	case text == "":
		return
	case text == "me" && c.Actor().Account.IsZero():
		f.Token = c.Actor().Token
	case text == "me":
		f.Account = c.Actor().Account
	case isID == nil:
		f.Token = domain.TokenID{ID: id}
		_, known := s.Model.Token(c.Organization, f.Token)
		f.Nothing = f.Nothing || !known
	default:
		f.Account = s.accountNamed(c, text)
		f.Nothing = f.Nothing || f.Account.IsZero()
	}
}

// accountNamed is a person by number or e-mail, or a service account by number; zero:
// nobody is called so.
func (s *Server) accountNamed(c Caller, text string) (id domain.AccountID) {
	if strings.Contains(text, "@") {
		id, _ = s.Model.AccountOf(text)
		return id
	}
	number := position(text)
	if number == 0 {
		return id
	}
	if id, known := s.Model.ServiceAccountNumbered(c.Organization, number); known {
		return id
	}
	id, _ = s.Model.AccountNumbered(number)
	return id
}

// filterTarget: a number may be that of an account, of an engine or a record, or of a
// token.
func (s *Server) filterTarget(c Caller, text string, f *projections.AuditFilter) {
	if text == "" {
		return
	}
	f.Targets = []string{text}
	if id := s.accountNamed(c, text); !id.IsZero() {
		f.Targets = append(f.Targets, id.String())
	}
	if number := position(text); number != 0 {
		if id, known := s.Model.TokenNumbered(c.Organization, number); known {
			f.Targets = append(f.Targets, id.String())
		}
	}
	if org, known := s.Model.Find(text); known && org == c.Organization {
		f.Targets = append(f.Targets, org.String())
	}
}

func (s *Server) filterToken(c Caller, q AuditQuery, f *projections.AuditFilter) error {
	if q.Token != "" {
		f.Handle = s.tokenNamed(c, q.Token)
		f.Nothing = f.Nothing || f.Handle.IsZero()
	}
	if q.Hash == "" {
		return nil
	}
	var hash domain.Hash
	if hash.UnmarshalText([]byte(strings.ToLower(q.Hash))) != nil {
		return domain.Invalid("hash", "is no SHA-256", "write 64 hexadecimal digits")
	}
	id, known := s.Model.TokenHashed(c.Organization, hash)
	if f.Nothing = f.Nothing || !known || !f.Handle.IsZero() && f.Handle != id; !f.Nothing {
		f.Handle = id
	}
	return nil
}

// tokenNamed is the caller's organization's token by its id, its number, or the public
// beginning of its secret.
func (s *Server) tokenNamed(c Caller, text string) (id domain.TokenID) {
	if number := position(text); number != 0 {
		id, _ = s.Model.TokenNumbered(c.Organization, number)
		return id
	}
	parsed, err := domain.ParseID(text[strings.LastIndex(text, "_")+1:])
	if _, known := s.Model.Token(c.Organization, domain.TokenID{ID: parsed}); err != nil || !known {
		return domain.TokenID{}
	}
	return domain.TokenID{ID: parsed}
}

func (s *Server) filterAddress(ctx context.Context, c Caller, text string, f *projections.AuditFilter) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return domain.Invalid("address", "is no IP address", "write it like 192.0.2.7 or 2001:db8::7")
	}
	f.Mark, err = s.Views.AddressMark(ctx, c.Organization, address.Unmap())
	return err
}
