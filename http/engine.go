package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"jeton/domain"
	"jeton/projections"
)

// engineRoutes are the routes of engines, and those for them.
func (s *Server) engineRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/engines", summary: "List engines, with which of their processes are connected",
			access: allowed(domain.EnginesRead), mount: dated((*Server).engines)},
		{pattern: "POST /api/v1/organizations/{org}/engines", summary: "Register an engine, and give it its access token", status: 201,
			access: allowed(domain.EnginesCreate), mount: api(s.engineRegister),
			audit: "permission.defined project.created engine.registered engine.listed engine.door_set token.issued token.bound approval.requested"},
		{pattern: "GET /api/v1/organizations/{org}/engines/{id}", summary: "Show an engine",
			access: allowed(domain.EnginesRead), mount: dated((*Server).engine)},
		{pattern: "PATCH /api/v1/organizations/{org}/engines/{id}", summary: "Change an engine and who comes in there, disable or enable it",
			access: allowed(domain.EnginesUpdate), mount: api(s.engineUpdate), audit: "project.created engine.listed engine.door_set engine.switched"},
		{pattern: "DELETE /api/v1/organizations/{org}/engines/{id}", summary: "Delete an engine and revoke its access token", status: 204,
			access: allowed(domain.EnginesDelete), mount: api(s.engineDelete), audit: "engine.deleted token.revoked"},
		{pattern: "POST /api/v1/organizations/{org}/engines/{id}/rotate-verification", summary: "Give an engine a new verification token",
			access: allowed(domain.EnginesUpdate), mount: api(s.verificationRotate), audit: "engine.door_set"},
		{pattern: "POST /api/v1/organizations/{org}/engines/{id}/replace-token", summary: "Give an engine another access token in place of the one that it has",
			access: allowed(domain.EnginesUpdate), mount: api(s.engineTokenReplace), audit: "token.revoked engine.token_replaced token.issued token.bound approval.requested"},
		{pattern: "GET /api/v1/organizations/{org}/tokens/{id}/revocation", summary: "Show which engines have taken the revocation of a token, or wait until all have",
			access: allowed(domain.TokensReadOwn, domain.TokensReadAny), mount: api(s.tokenRevocation)},

		{pattern: "POST /api/v1/engines/check", summary: "Ask who stands at the door of the engine that asks", quiet: true,
			access: engines, mount: described[entranceRequest, entranceAnswer](s.engineCheck)},
		{pattern: "GET /api/v1/engines/stream", summary: "Hear all that an engine needs to know, and every change as it comes",
			access: engines, mount: streamed(s.engineStream)},
		{pattern: "POST /api/v1/engines/report", summary: "Say how far an engine is, and how tokens were used there", status: 204, quiet: true, body: reportBody,
			access: engines, mount: described[engineReport, struct{}](s.engineReport)},
	}
}

// Engine is an API of the organization that lets bearers in. It is exported because
// huma looks into exported fields only.
type Engine struct {
	ID                   domain.Position `json:"id" doc:"Its number, for ever." example:"12"`
	Name                 string          `json:"name" doc:"What grants name: engine:<name>. It is never given again." example:"prod"`
	Project              string          `json:"project,omitempty" doc:"The project that it belongs to."`
	URL                  string          `json:"url,omitempty" doc:"Where it is." example:"https://dblab.example.org"`
	Description          string          `json:"description,omitempty" doc:"What it is for."`
	Permissions          []string        `json:"permissions,omitempty" doc:"What it asks for, for those who limit a token to it."`
	Resources            []string        `json:"resources,omitempty" doc:"What there is in it, for those who limit a token to some of it."`
	PersonalTokens       bool            `json:"personal_tokens" doc:"Whether tokens of members and of service accounts come in."`
	VerificationFallback bool            `json:"verification_fallback" doc:"Whether the verification token comes in where personal tokens do."`
	HasVerificationToken bool            `json:"has_verification_token" doc:"Whether it has a verification token."`
	Open                 bool            `json:"open" doc:"Whether everybody comes in, whatever they show."`
	Disabled             bool            `json:"disabled" doc:"Whether nobody comes in at the moment."`
	Warning              string          `json:"warning,omitempty" doc:"What everybody should know who looks at it."`
	AccessTokenID        string          `json:"access_token_id" doc:"The id of the token that it shows to the platform." example:"0123456789abcdef"`
	Position             domain.Position `json:"position,omitempty" doc:"Up to where of the log all of its connected processes have taken everything; absent: some have not said so yet, or none is connected."`
	LastSeenAt           domain.Instant  `json:"last_seen_at,omitzero" format:"date-time" doc:"When it was last heard of: one of its processes, or, to the minute, whoever showed its access token; absent: it never was."`
	Connections          []connection    `json:"connections" nullable:"false" doc:"Its processes, the oldest first. Those that have left are shown until a minute after they let nobody in any more."`
	CreatedAt            domain.Instant  `json:"created_at,omitzero" format:"date-time" doc:"When it was registered."`
	CreatedBy            *author         `json:"created_by,omitempty" doc:"Who registered it."`
	Version              domain.Position `json:"version" doc:"The number inside its ETag."`
}

// engineCreated is a new engine with its secrets.
type engineCreated struct {
	Engine
	AccessToken       string `json:"access_token,omitempty" doc:"What it shows to the platform. It is shown this once." example:"jtn_adm_…"`
	VerificationToken string `json:"verification_token,omitempty" doc:"What whoever is not asked for a token of their own shows to the engine. It is shown this once, and only if it was not sent." example:"jtn_ver_…"`
}

type newEngine struct {
	Name                 string          `json:"name" maxLength:"100" doc:"Small letters and digits, with single dots, hyphens and underscores between them. It is never given again." example:"prod"`
	Project              string          `json:"project,omitempty" maxLength:"100" doc:"The project that it belongs to. It comes into being if there is none."`
	URL                  string          `json:"url,omitempty" maxLength:"1000" doc:"Where it is." example:"https://dblab.example.org"`
	Description          string          `json:"description,omitempty" maxLength:"1000" doc:"What it is for."`
	PersonalTokens       bool            `json:"personal_tokens,omitempty" doc:"true: tokens of members and of service accounts come in."`
	VerificationToken    string          `json:"verification_token,omitempty" maxLength:"256" doc:"The one that it has already: 16 to 256 characters. Without it, and unless it is open, one is drawn."`
	VerificationFallback *bool           `json:"verification_fallback,omitempty" doc:"false: where personal tokens come in the verification token does not. Without it: true."`
	Open                 bool            `json:"open,omitempty" doc:"true: everybody comes in, whatever they show, and nobody knows who they are."`
	Permissions          []newPermission `json:"permissions,omitempty" maxItems:"512" doc:"What it asks for. Those that there are not yet are defined; their type of resource is engine unless they say otherwise."`
	Resources            []string        `json:"resources,omitempty" maxItems:"100" doc:"What there is in it, each type:id."`
	Networks             []string        `json:"networks,omitempty" maxItems:"50" doc:"From where alone its access token works; absent: from anywhere the policy allows." example:"[\"10.0.0.0/8\"]"`
	Expiry
}

type engineChange struct {
	Project              *string   `json:"project,omitempty" maxLength:"100" doc:"The project that it belongs to from now on; empty: none."`
	URL                  *string   `json:"url,omitempty" maxLength:"1000" doc:"Where it is from now on; empty: nobody says."`
	Description          *string   `json:"description,omitempty" maxLength:"1000" doc:"What it is for, from now on."`
	Permissions          *[]string `json:"permissions,omitempty" maxItems:"512" doc:"The names of what it asks for from now on: all of them."`
	Resources            *[]string `json:"resources,omitempty" maxItems:"100" doc:"What there is in it from now on: all of it."`
	PersonalTokens       *bool     `json:"personal_tokens,omitempty" doc:"Whether tokens of members and of service accounts come in."`
	VerificationToken    *string   `json:"verification_token,omitempty" maxLength:"256" doc:"The one that it has from now on, 16 to 256 characters; empty: none."`
	VerificationFallback *bool     `json:"verification_fallback,omitempty" doc:"Whether the verification token comes in where personal tokens do."`
	Open                 *bool     `json:"open,omitempty" doc:"Whether everybody comes in. It takes an engine without a verification token."`
	Disabled             *bool     `json:"disabled,omitempty" doc:"true: nobody comes in; false ends that."`
}

// InEngine is an engine in a path.
type InEngine struct {
	InOrganization
	ID string `path:"id" doc:"The number of the engine." example:"12"`
}

// engines answers GET /api/v1/organizations/{org}/engines, the oldest first.
func (s *Server) engines(ctx context.Context, c Caller, in *struct {
	InOrganization
	PageQuery
},
) (*pageAnswer[Engine], error) {
	ask := func(ctx context.Context, after domain.Position, limit int) ([]projections.EngineRow, error) {
		return s.Views.Engines(ctx, c.Organization, projections.Page{After: after, Limit: limit})
	}
	last := s.Model.Last(c.Organization)
	return listing(ctx, in.PageQuery, "engines", ask, func(row projections.EngineRow) (Engine, domain.Position) {
		return s.describeEngine(row, last), row.Number
	})
}

// engine answers GET /api/v1/organizations/{org}/engines/{id}.
func (s *Server) engine(ctx context.Context, c Caller, in *InEngine) (*answer[Engine], error) {
	known, err := s.engineNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	row, err := s.engineRow(ctx, c, known)
	if err != nil {
		return nil, err
	}
	return &answer[Engine]{ETag: etag(row.Changed), Body: s.describeEngine(row, s.Model.Last(c.Organization))}, nil
}

// engineRow is what the views have of an engine, as it is at least.
func (s *Server) engineRow(ctx context.Context, c Caller, known domain.Engine) (row projections.EngineRow, err error) {
	if s.settled(ctx, known.Changed) != "" {
		return row, projections.ErrViews
	}
	return s.Views.Engine(ctx, c.Organization, known.Number)
}

// engineRegister answers POST /api/v1/organizations/{org}/engines.
func (s *Server) engineRegister(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newEngine
},
) (*created[engineCreated], error) {
	command, made, err := s.registration(in.Body)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, in.meta(c), command)
	if err != nil {
		return nil, err
	}
	if _, known := s.Model.Engine(c.Organization, outcome.Position); !known {
		return nil, domain.Refuse(domain.ErrNotFound, "the engine that this request has registered is gone", "send it with a new Idempotency-Key and a new name to register another one")
	}
	shown := s.engineChanged(ctx, c, outcome.Position)
	if shown.Views == viewsBehind && !outcome.Replayed {
		shown.Body.Project, shown.Body.URL, shown.Body.Description = in.Body.Project, in.Body.URL, in.Body.Description
		shown.Body.CreatedAt, shown.Body.CreatedBy = outcome.Time, s.actor(c)
	}
	if made.Engine = shown.Body; outcome.Replayed {
		made = engineCreated{Engine: shown.Body} // the secrets are gone
	}
	return &created[engineCreated]{
		Location: fmt.Sprintf("/api/v1/organizations/%s/engines/%d", c.Alias, outcome.Position),
		ETag:     shown.ETag, Views: shown.Views, Replayed: replayed(outcome.Replayed), Body: made,
	}, nil
}

// registration is the command for a wanted engine, and the secrets that it is to have.
func (s *Server) registration(wanted newEngine) (command domain.RegisterEngine, made engineCreated, err error) {
	command = domain.RegisterEngine{
		Name: wanted.Name, Listing: wanted.listing(),
		Door: domain.Door{
			PersonalTokens: wanted.PersonalTokens, Open: wanted.Open,
			NoFallback: wanted.VerificationFallback != nil && !*wanted.VerificationFallback,
		},
	}
	for _, p := range wanted.Permissions {
		p.ResourceType = cmp.Or(p.ResourceType, "engine")
		command.Defines = append(command.Defines, p.definition())
	}
	if wanted.VerificationToken != "" || !wanted.Open {
		if made.VerificationToken, command.Door.Verification, err = verification(wanted.VerificationToken); err != nil {
			return command, made, err
		}
	}
	if command.EngineToken, made.AccessToken, err = newEngineToken(wanted.Expiry, s.now()); err != nil {
		return command, made, err
	}
	command.Networks, err = networks(wanted.Networks)
	return command, made, err
}

func (wanted newEngine) listing() domain.Listing {
	listing := domain.Listing{Project: wanted.Project, URL: wanted.URL, Description: wanted.Description, Resources: listOf[domain.Resource](wanted.Resources)}
	for _, p := range wanted.Permissions {
		listing.Permissions = append(listing.Permissions, p.Name)
	}
	return listing
}

// engineUpdate answers PATCH /api/v1/organizations/{org}/engines/{id}.
func (s *Server) engineUpdate(ctx context.Context, c Caller, in *struct {
	InEngine
	IfMatch
	Body engineChange
},
) (*answer[Engine], error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	return s.changeEngine(ctx, c, in.ID, seen, func(known domain.Engine) (command domain.UpdateEngine, err error) {
		command.Disabled = in.Body.Disabled
		if command.Door, err = in.Body.door(known.Door); err != nil {
			return command, err
		}
		command.Listing, err = s.listing(ctx, c, known, in.Body)
		return command, err
	})
}

// door is how the engine is to decide, if that changes.
func (wanted *engineChange) door(d domain.Door) (*domain.Door, error) {
	if wanted.PersonalTokens == nil && wanted.VerificationFallback == nil && wanted.Open == nil && wanted.VerificationToken == nil {
		return nil, nil
	}
	d.PersonalTokens = *cmp.Or(wanted.PersonalTokens, &d.PersonalTokens)
	d.Open = *cmp.Or(wanted.Open, &d.Open)
	if wanted.VerificationFallback != nil {
		d.NoFallback = !*wanted.VerificationFallback
	}
	switch text := wanted.VerificationToken; {
	case text == nil:
	case *text == "":
		d.Verification = domain.Hash{}
	default:
		var err error
		if _, d.Verification, err = verification(*text); err != nil {
			return nil, err
		}
	}
	return &d, nil
}

// listing is what is to be said of the engine, if that changes. What is said of it now
// only the views know.
func (s *Server) listing(ctx context.Context, c Caller, known domain.Engine, wanted engineChange) (*domain.Listing, error) {
	if wanted.Project == nil && wanted.URL == nil && wanted.Description == nil && wanted.Permissions == nil && wanted.Resources == nil {
		return nil, nil
	}
	row, err := s.engineRow(ctx, c, known)
	if err != nil {
		return nil, err
	}
	if row.Changed != known.Changed {
		return nil, domain.Refuse(domain.ErrStale, "it was changed meanwhile", "repeat the change")
	}
	l := row.Listing
	l.Project, l.URL, l.Description = *cmp.Or(wanted.Project, &l.Project), *cmp.Or(wanted.URL, &l.URL), *cmp.Or(wanted.Description, &l.Description)
	l.Permissions = *cmp.Or(wanted.Permissions, &l.Permissions)
	if wanted.Resources != nil {
		l.Resources = listOf[domain.Resource](*wanted.Resources)
	}
	return &l, nil
}

// overtaken is how often a change is decided again whose sender has not said what they
// have read, because somebody else was faster.
const overtaken = 8

// changeEngine makes a change that depends on how the engine is.
func (s *Server) changeEngine(ctx context.Context, c Caller, number string, seen domain.Position, change func(domain.Engine) (domain.UpdateEngine, error)) (*answer[Engine], error) {
	for try := 1; ; try++ {
		known, err := s.engineNumbered(c, number)
		if err != nil {
			return nil, err
		}
		command, err := change(known)
		if err == nil {
			command.Engine, command.Seen = known.Number, cmp.Or(seen, known.Changed)
			_, err = s.Model.Execute(ctx, c.Meta(), command)
		}
		switch {
		case err == nil:
			return s.engineChanged(ctx, c, known.Number), nil
		case seen != 0 || try == overtaken || !errors.Is(err, domain.ErrStale):
			return nil, err
		}
	}
}

// engineDelete answers DELETE /api/v1/organizations/{org}/engines/{id}.
func (s *Server) engineDelete(ctx context.Context, c Caller, in *struct {
	InEngine
	IfMatch
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log." example:"moved"`
},
) (*nothing, error) {
	known, err := s.engineNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.DeleteEngine{Engine: known.Number, Reason: in.Reason, Seen: seen})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// engineChanged shows an engine after a command: as the views have it, or as the model
// does while the views are behind.
func (s *Server) engineChanged(ctx context.Context, c Caller, number domain.Position) *answer[Engine] {
	remembered := s.rememberedEngine(c, number)
	return shown(ctx, s, remembered, remembered.Version, func() (Engine, domain.Position, error) {
		row, err := s.Views.Engine(ctx, c.Organization, number)
		return s.describeEngine(row, s.Model.Last(c.Organization)), row.Changed, err
	})
}

// engineNumbered is the engine of the caller's organization that has a number. Another
// organization's, a number that none has and what is no number are not found alike.
func (s *Server) engineNumbered(c Caller, number string) (domain.Engine, error) {
	known, there := s.Model.Engine(c.Organization, position(number))
	if !there {
		return known, domain.Refuse(domain.ErrNotFound, "there is no such engine", "look at the list of engines")
	}
	return known, nil
}

// rememberedEngine is what the model knows of an engine.
func (s *Server) rememberedEngine(c Caller, number domain.Position) Engine {
	known, _ := s.Model.Engine(c.Organization, number)
	return s.engineAs(projections.EngineRow{
		Organization: c.Organization, Number: known.Number, Name: known.Name, Door: known.Door, Token: known.Token, Changed: known.Changed,
		Listing: domain.Listing{Permissions: known.Permissions, Resources: known.Resources},
	}, 0)
}

func (s *Server) describeEngine(row projections.EngineRow, last domain.Position) Engine {
	body := s.engineAs(row, last)
	body.CreatedAt, body.CreatedBy = row.Created, s.author(row.Organization, row.CreatedBy)
	return body
}

func (s *Server) engineAs(row projections.EngineRow, last domain.Position) Engine {
	body := Engine{
		ID: row.Number, Name: row.Name, Project: row.Listing.Project, URL: row.Listing.URL, Description: row.Listing.Description,
		Permissions: row.Listing.Permissions, Resources: listOf[string](row.Listing.Resources),
		PersonalTokens: row.Door.PersonalTokens, VerificationFallback: !row.Door.NoFallback, HasVerificationToken: !row.Door.Verification.IsZero(),
		Open: row.Door.Open, Disabled: row.Door.Disabled, AccessTokenID: row.Token.String(), Connections: []connection{}, Version: row.Changed,
	}
	if body.Open {
		body.Warning = "this engine lets everybody in"
	}
	if standing, known := s.Model.Standing(row.Organization, row.Token); known {
		body.LastSeenAt = standing.Used // by what it asked without a stream, or before this node began
	}
	body.connected(s.Connections.Of(row.Organization, row.Number), last)
	return body
}
