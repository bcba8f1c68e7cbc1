package http

import (
	"context"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// pastRoutes are the routes about what was. Most of what was is asked for where what is
// is; see dated.
func (s *Server) pastRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/tokens/{id}/history", summary: "Show all that has happened to a token, each step with its cause",
			access: allowed(domain.LogRead, domain.TokensReadOwn), mount: dated((*Server).tokenHistory), audit: "audit.read", reads: readsHistory},
		{pattern: "GET /api/v1/organizations/{org}/engines/{id}/access", summary: "List the tokens that come in at an engine",
			access: allowed(domain.LogRead), mount: dated((*Server).engineAccess), audit: "audit.read", reads: readsHistory},
		{pattern: "GET /api/v1/organizations/{org}/audit/diff", summary: "Show what differs between two moments",
			access: allowed(domain.LogRead), mount: api(s.auditDiff), audit: "audit.read", reads: readsDiff},
	}
}

// step is something that has happened to a token.
type step struct {
	Position domain.Position `json:"position,omitempty" doc:"The commit that did it; absent: no commit, time did."`
	At       domain.Instant  `json:"at" format:"date-time" doc:"When."`
	By       *author         `json:"by,omitempty" doc:"Who did it; absent: time."`
	Kind     string          `json:"kind" doc:"What has happened: the kind of the event, or what time did: time.expired, time.begun, time.overlapped (its secret from before ended), time.out-of-time (nobody can approve it any more), time.idle (it was not used for too long)." example:"token.issued"`
	Data     map[string]any  `json:"data,omitempty" doc:"What the event says; hashes of secrets are left out."`
	Person   *person         `json:"person,omitempty" doc:"Whom it is about, if it is about somebody."`
	Around   bool            `json:"around,omitempty" doc:"It happened to what the token depends on: its holder, a role, a permission, the policy. It is here because it changed what the token could do."`
	Reason   domain.Reason   `json:"reason,omitempty" doc:"Why it opened nothing from then on; absent: it was active."`
	Gained   []string        `json:"gained,omitempty" doc:"What it could do from then on and not before."`
	Lost     []string        `json:"lost,omitempty" doc:"What it could do before and not from then on."`
}

// steps is the history of a token.
type steps struct {
	Items []step `json:"items" nullable:"false" doc:"What has happened, the oldest first."`
}

// tokenHistory answers GET /api/v1/organizations/{org}/tokens/{id}/history, to auditors
// and to whoever holds the token.
func (s *Server) tokenHistory(ctx context.Context, c Caller, in *InToken) (*answer[steps], error) {
	id, known, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	if known.Holder.IsZero() || known.Holder != c.Actor().Account {
		if err := s.Model.Allows(c.Meta(), domain.LogRead); err != nil {
			return nil, err
		}
	}
	until, err := s.moment(ctx, c)
	if err != nil {
		return nil, err
	}
	all, err := s.past.History(ctx, c.Organization, id, until)
	if err != nil {
		return nil, err
	}
	body := steps{Items: make([]step, 0, len(all))}
	for _, one := range all {
		shown, err := s.describeStep(c, one)
		if err != nil {
			return nil, err
		}
		body.Items = append(body.Items, shown)
	}
	if standing, _ := s.Model.Standing(c.Organization, id); standing.Reason == domain.ReasonIdle {
		policy, _ := s.Model.Policy(c.Organization)
		body.Items = append(body.Items, step{At: max(standing.Token.Issued, standing.Used) + policy.Idle.Instant(), Kind: "time.idle", Reason: domain.ReasonIdle})
	}
	return &answer[steps]{Body: body}, nil
}

// moment is when this server answers about.
func (s *Server) moment(ctx context.Context, c Caller) (projections.Moment, error) {
	if s.when != nil {
		return *s.when, nil
	}
	ctx, cancel := context.WithTimeout(ctx, viewsPatience)
	defer cancel()
	return s.past.Now(ctx, c.Organization)
}

func (s *Server) describeStep(c Caller, one projections.Step) (shown step, err error) {
	shown = step{
		Position: one.Position, At: one.Time, Kind: "time." + string(one.Passed), Around: one.Around,
		Reason: one.Reason, Gained: one.Gained, Lost: one.Lost,
	}
	if one.Event == nil {
		return shown, nil
	}
	shown.By, shown.Kind = s.author(c.Organization, one.By), one.Event.Kind()
	shown.Data, err = factsOf(one.Event)
	shown.Person = s.personIn(shown.Data)
	return shown, err
}

// written is a time as RFC 3339 has it.
func written(at domain.Instant) string { return at.Time().UTC().Format(time.RFC3339Nano) }
