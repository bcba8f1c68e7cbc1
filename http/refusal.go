package http

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// Refusals that are worth knowing stand in the log of the organization that they are
// about: of a caller who may not do something there, of one who has come to another
// organization than their own, and of whoever shows a token that is good no more. They
// are told to the model when the answer is written, and change nothing about it. That
// somebody asks too often, or not in the right form, is not worth knowing.

// astray is the refusal of a caller in an organization that is not theirs, whether or
// not there is one of that name. Their own organization gets to know it.
type astray struct {
	refusal error
	named   string
	bearer  projections.Checked
}

func (a *astray) Error() string { return a.refusal.Error() }

func (a *astray) Unwrap() error { return a.refusal }

// noOrganization refuses a caller of the organization that they have named.
func noOrganization(bearer projections.Checked, named, next string) error {
	return &astray{domain.Refuse(domain.ErrNotFound, "there is no such organization", next), named, bearer}
}

// badBearer is errBadCredential of somebody who has shown another token than the one
// that says who they are.
type badBearer struct{ bearer projections.Checked }

func (*badBearer) Error() string { return errBadCredential.Error() }

func (*badBearer) Unwrap() error { return errBadCredential }

// action is what a route is for, in the words of the log: "POST tokens/{id}/rotate".
func (m *mounter) action(r route) string {
	path := r.path()
	for _, prefix := range []string{"/api/v1/organizations/{org}/", "/api/v1/", m.databaseLab, "/"} {
		if rest, cut := strings.CutPrefix(path, prefix); cut {
			path = rest
			break
		}
	}
	return strings.TrimSpace(r.method() + " " + path)
}

// refuse is report of what a handler or the door has said to a request.
func (m *mounter) refuse(w http.ResponseWriter, err error) *Problem {
	if answer, is := w.(*recorder); is {
		answer.refused = err
	}
	return m.report(err)
}

// note lets a refusal be known if that is worth it.
func (s *Server) note(r *http.Request, action string, c Caller, err error) {
	var stray *astray
	var key *badBearer
	c.Request = requestID(r) // which a quiet route gives to what it refuses only
	switch {
	case errors.As(err, &stray):
		c.Checked = stray.bearer
		s.noteStray(action, c, stray)
	case errors.As(err, &key):
		c.Checked = key.bearer
		s.noteUnfit(r, action, c)
	case errors.Is(err, errBadCredential):
		s.noteUnfit(r, action, c)
	case errors.Is(err, domain.ErrDenied) && c.Token.Kind != domain.NoKind:
		s.Model.Note(c.Meta(), domain.AccessRefused{Action: action, Code: "denied", Target: target(r), Reason: redact(err.Error())})
	}
}

func (s *Server) noteStray(action string, c Caller, stray *astray) {
	meta := c.Meta()
	meta.Organization = c.Home
	s.Model.Note(meta, domain.AccessRefused{Action: action, Code: "foreign", Target: name(stray.named), Reason: stray.Error()})
}

// noteUnfit is about a token that is good no more. Who shows it is nobody but its
// bearer.
func (s *Server) noteUnfit(r *http.Request, action string, c Caller) {
	why, worth := c.Unfit()
	if !worth {
		return
	}
	about := target(r)
	if org := r.PathValue("org"); org != "" {
		if id, known := s.Model.Find(org); !known || id != c.Home {
			about = name(org)
		}
	}
	meta := c.Meta()
	meta.Organization, meta.Actor = c.Home, domain.Actor{Kind: domain.ActorBearer, Token: c.ID}
	s.Model.Note(meta, domain.AccessRefused{Action: action, Code: s.Model.CodeOf(&c.Checked), Target: about, Reason: why, Token: c.ID})
}

// target is what a request is about, as its path names it.
func target(r *http.Request) string { return name(cmp.Or(r.PathValue("id"), r.PathValue("name"))) }

// name is what somebody has called something, if things are called so. Whatever else
// stands in a path may be somebody's e-mail, and stays out of the log.
func name(text string) string {
	if text != "" && !nameLike.MatchString(text) {
		return "(no name)"
	}
	return text
}

var nameLike = regexp.MustCompile(`^[0-9A-Za-z._:-]{1,100}$`)

// How what happened is read, in the table of routes. An export is recorded each time,
// all else now and then.
const (
	readsList    = "list"
	readsTail    = "tail"
	readsHistory = "history" // of one thing
	readsDiff    = "diff"
	readsProof   = "proof"
	readsExport  = "export"
)

// reading is a route that reads what happened.
func (r route) reading(as string) route {
	r.reads, r.audit = as, "audit.read"
	return r
}

// witness records that a caller reads what happened, if the route does that. They get
// to see nothing before it is recorded, and see that it was. What can't be shown then
// was asked for nevertheless.
func (m *mounter) witness(r route, request *http.Request, c Caller) error {
	if r.reads == "" {
		return nil
	}
	at, err := m.server.record(request, r.reads, c)
	if err == nil && at != 0 {
		m.server.settled(request.Context(), at) // else the list says itself that it is behind
	}
	return err
}

func (s *Server) record(r *http.Request, reads string, c Caller) (domain.Position, error) {
	at := datedURL(r.Context(), *r.URL)
	parts := at.Query()
	if id := r.PathValue("id"); id != "" {
		parts.Set("id", name(id))
	}
	query := asked(parts)
	if reads == readsExport {
		return s.Model.Export(r.Context(), c.Meta(), domain.AuditExported{Action: reads, Query: query})
	}
	return s.Model.Read(r.Context(), c.Meta(), domain.AuditRead{Action: reads, Query: query})
}

// asked is which part of what happened somebody wants. Of filters that may name a
// person it says only that they are there.
func asked(query url.Values) string {
	var parts []string
	for key, values := range query {
		for _, value := range values {
			if !slices.Contains(impersonal, key) || strings.Contains(value, "@") {
				value = "…"
			}
			parts = append(parts, key+"="+redact(value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "&")
}

// impersonal are the parameters whose values name no person.
var impersonal = []string{
	"after", "before", "position", "as_of", "from", "to", "since", "until", "created_at", "limit", "offset", "order", "select", "wait", "count", "epoch",
	"format", "kind", "action", "outcome", "table_name", "id",
}
